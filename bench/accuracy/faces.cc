#include "bench/accuracy/faces.h"

#include <utility>

#include "cli/read_file.h"
#include "training/demo/face_batch.h"
#include "vision/preprocess/image_preparer.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::bench {
namespace {

constexpr size_t kMaxPhotoBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<std::vector<vision::Patches>> MakeFaces(const FaceOptions& options) {
  const auto config = vision::ReadPreprocessorConfig(options.model);
  if (!config.ok()) return config.status();
  const vision::ImagePreparer preparer({.config = *config, .limits = {}});
  std::vector<vision::Patches> faces;
  const auto take = [&](auto prepared) {
    if (prepared.ok()) faces.push_back(std::move(prepared->patches));
    return prepared.status();
  };
  for (int i = 0; i < options.drawn; ++i) {
    const uint64_t seed =
        training::FaceSeed(options.seed, training::Split::kTest, static_cast<uint64_t>(i));
    const training::SampledFace face = training::SampleFace(seed);
    auto status = take(preparer.Prepare(training::PhotographFace(face.parameters), {}));
    if (!status.ok()) return status;
  }
  for (const std::string& photo : options.photos) {
    const auto bytes = cli::ReadFile(photo, kMaxPhotoBytes);
    if (!bytes.ok()) return bytes.status();
    auto status = take(preparer.Prepare(std::string_view(*bytes), {}));
    if (!status.ok()) return status;
  }
  return faces;
}

}  // namespace emotion::bench

#include "training/demo/demo_check.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "heads/head_bank.h"
#include "training/demo/face_batch.h"
#include "vision/encoder/torch/torch_encoder.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::training {
namespace {

constexpr size_t kEncodedTogether = 32;

struct Drawn {
  std::vector<vision::Patches> images;
  std::vector<Levels> levels;
};

absl::StatusOr<Drawn> DrawTestFaces(const vision::Patchifier& patchifier, uint64_t seed,
                                    size_t first, size_t count) {
  Drawn drawn;
  for (size_t i = first; i < first + count; ++i) {
    const SampledFace face = SampleFace(FaceSeed(seed, Split::kTest, i));
    auto patches = patchifier.Still(PhotographFace(face.parameters));
    if (!patches.ok()) return patches.status();
    drawn.images.push_back(*std::move(patches));
    drawn.levels.push_back(face.levels);
  }
  return drawn;
}

}  // namespace

absl::StatusOr<DemoEvaluation> EvaluateDemo(const std::filesystem::path& models, uint64_t seed,
                                            size_t faces) {
  auto encoder = vision::CreateTorchEncoder({.directory = (models / "encoder").string()});
  if (!encoder.ok()) return encoder.status();
  auto heads = heads::HeadBank::Load(models / "classifiers");
  if (!heads.ok()) return heads.status();
  auto preprocessing = vision::ReadPreprocessorConfig(models / "encoder");
  if (!preprocessing.ok()) return preprocessing.status();
  const vision::Patchifier patchifier(*preprocessing);

  std::array<std::vector<int>, kStateCount> truth, told;
  for (size_t first = 0; first < faces; first += kEncodedTogether) {
    const size_t count = std::min(kEncodedTogether, faces - first);
    const auto drawn = DrawTestFaces(patchifier, seed, first, count);
    if (!drawn.ok()) return drawn.status();
    std::vector<const vision::Patches*> images;
    for (const vision::Patches& image : drawn->images) images.push_back(&image);
    const auto embeddings = (*encoder)->Encode(images);
    if (!embeddings.ok()) return embeddings.status();
    for (size_t face = 0; face < count; ++face) {
      const auto predictions = (*heads)->Classify((*embeddings)[face]);
      for (size_t state = 0; state < kStateCount; ++state) {
        truth[state].push_back(drawn->levels[face][state]);
        told[state].push_back(predictions[state].level);
      }
    }
  }
  DemoEvaluation evaluation{.seed = seed, .faces = faces, .states = {}};
  for (size_t state = 0; state < kStateCount; ++state) {
    evaluation.states[state] = ScoreLevels(truth[state], told[state]);
  }
  return evaluation;
}

}  // namespace emotion::training

#include "vision/encoder/onednn/onednn_encoder.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/sync/long_slice.h"
#include "common/sync/team.h"
#include "common/sync/usable_cores.h"
#include "fmt/format.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/onednn/tower.h"
#include "vision/encoder/window_layout.h"

namespace emotion::vision {
namespace {

// Images are computed together, so that weights go by once for all of them, up to so many patches
// (8 faces): more gain nothing and need room. An image that has more comes alone.
constexpr size_t kPatchesAtOnce = 512;

size_t PatchesOf(const Patches& image, const VisionConfig& config) {
  return image.rows.size() / static_cast<size_t>(config.patch_values());
}

using Embeddings = std::vector<std::vector<float>>;

class OneDnnEncoder final : public VisionEncoder {
 public:
  OneDnnEncoder(EncoderInfo info, const VisionConfig& config, PackedTower weights, int threads)
      : info_(std::move(info)),
        config_(config),
        weights_(std::move(weights)),
        team_(threads),
        pass_(config_, weights_, team_) {}

  const EncoderInfo& info() const override { return info_; }

  absl::StatusOr<Embeddings> Encode(std::span<const Patches* const> images) override {
    if (auto status = CheckImages(images); !status.ok()) return status;
    try {
      TakeLongSlices();  // what answers from a cache must not wait for us
      Embeddings embeddings;
      while (!images.empty()) {
        const size_t count = CountForOnePass(images);
        if (auto status = EncodeSome(images.first(count), embeddings); !status.ok()) return status;
        images = images.subspan(count);
      }
      return embeddings;
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("out of memory for a batch of this size");
    }
  }

 private:
  size_t CountForOnePass(std::span<const Patches* const> images) const {
    size_t patches = 0;
    size_t count = 0;
    while (count < images.size()) {
      patches += PatchesOf(*images[count], config_);
      if (count > 0 && patches > kPatchesAtOnce) break;
      ++count;
    }
    return count;
  }

  absl::Status EncodeSome(std::span<const Patches* const> images, Embeddings& embeddings) {
    std::vector<Grid> grids;
    for (const Patches* image : images) grids.push_back(image->grid);
    if (grids != plan_.grids) {
      auto plan = PlanTower(config_, grids);
      if (!plan.ok()) return plan.status();
      plan_ = *std::move(plan);
    }
    const auto tokens = pass_.Run(plan_, images);
    if (!tokens.ok()) return tokens.status();
    Pool(*tokens, embeddings);
    return absl::OkStatus();
  }

  // Appends the mean of each image's tokens, summed in double: an image may have thousands.
  void Pool(std::span<const float> tokens, Embeddings& embeddings) const {
    const auto dim = static_cast<size_t>(config_.out_hidden_size);
    std::vector<double> sums;
    const float* token = tokens.data();
    for (const int64_t count : plan_.layout.tokens_per_image) {
      sums.assign(dim, 0);
      for (int64_t i = 0; i < count; ++i, token += dim) {
        for (size_t d = 0; d < dim; ++d) sums[d] += token[d];
      }
      std::vector<float>& embedding = embeddings.emplace_back(dim);
      for (size_t d = 0; d < dim; ++d) {
        embedding[d] = static_cast<float>(sums[d] / static_cast<double>(count));
      }
    }
  }

  absl::Status CheckImages(std::span<const Patches* const> images) const {
    std::vector<Grid> grids;
    for (const Patches* image : images) grids.push_back(image->grid);
    const auto layout = MakeWindowLayout(config_, grids);
    if (!layout.ok()) return layout.status();
    for (size_t i = 0; i < images.size(); ++i) {
      const int64_t patches = layout->tokens_per_image[i] * config_.merge_unit();
      if (std::cmp_not_equal(images[i]->rows.size(), patches * config_.patch_values())) {
        return FieldError(fmt::format("images/{}", i),
                          fmt::format("has {} values; {} patches of {} are expected",
                                      images[i]->rows.size(), patches, config_.patch_values()));
      }
    }
    return absl::OkStatus();
  }

  const EncoderInfo info_;
  const VisionConfig config_;
  const PackedTower weights_;
  TowerPlan plan_;  // of the last images: most are alike
  Team team_;
  TowerPass pass_;  // last: uses all of the above
};

absl::StatusOr<TowerFormat> FormatOf(const OneDnnEncoderOptions& options) {
  const bool emulate = options.emulate_bf16 && !HasBf16Products();
  const bool bf16 = emulate || HasBf16Products();
  switch (options.precision) {
    case Precision::kFp32:
      return TowerFormat{};
    case Precision::kBf16:
      if (bf16) return TowerFormat{.element = Element::kBf16, .emulate_bf16 = emulate};
      return FieldError("precision",
                        "bf16 needs a CPU with AVX-512 BF16 or AMX; this one computes fp32 and "
                        "int8");
    case Precision::kInt8:
      return TowerFormat{.bytes = ByteLayers::kAll};
    case Precision::kMixedInt8:
      return TowerFormat{.element = bf16 ? Element::kBf16 : Element::kF32,
                         .bytes = ByteLayers::kMost,
                         .emulate_bf16 = emulate};
    case Precision::kFp16:
      break;
  }
  return FieldError("precision",
                    fmt::format("must be fp32, bf16, int8 or mixed_int8 on the CPU; is {}",
                                PrecisionName(options.precision)));
}

}  // namespace

bool OneDnnComputesBf16() { return HasBf16Products(); }

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateOneDnnEncoder(
    const OneDnnEncoderOptions& options) {
  auto format = FormatOf(options);
  if (!format.ok()) return format.status();
  auto model = OpenModelDirectory(options.directory);
  if (!model.ok()) return model.status();
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  // Two for each thread, so that one that is held up does not hold up the others for long.
  if (threads > 1) format->pieces = 2 * threads;
  try {
    const VisionConfig& config = model->config.vision;
    auto packed = PackTower(config, model->checkpoint, *format, threads, options.progress);
    if (!packed.ok()) return packed.status();
    EncoderInfo info = DescribeModel(*model);
    info.fingerprint = ComputeFingerprint(*model, packed->digests);
    info.precision = options.precision;
    info.device = fmt::format("cpu: {}, {} threads", OneDnnDescription(), threads);
    return std::make_unique<OneDnnEncoder>(std::move(info), config, std::move(packed->tower),
                                           threads);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the encoder's weights");
  }
}

}  // namespace emotion::vision

#include "vision/encoder/onednn/onednn_encoder.h"

#include <new>
#include <utility>
#include <vector>

#include <omp.h>
#include <sched.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/onednn/tower.h"

namespace emotion::vision {
namespace {

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

class OneDnnEncoder final : public VisionEncoder {
 public:
  OneDnnEncoder(EncoderInfo info, const VisionConfig& config, PackedTower weights, Element element,
                int threads)
      : info_(std::move(info)),
        config_(config),
        weights_(std::move(weights)),
        threads_(threads),
        pass_(config_, weights_, element, threads) {}

  const EncoderInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const Patches* const> images) override {
    if (images.empty()) return std::vector<std::vector<float>>();
    try {
      return Run(images);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("out of memory for a batch of this size");
    }
  }

 private:
  absl::StatusOr<std::vector<std::vector<float>>> Run(std::span<const Patches* const> images) {
    std::vector<Grid> grids;
    for (const Patches* image : images) grids.push_back(image->grid);
    if (grids != plan_.grids) {
      auto plan = PlanTower(config_, grids);
      if (!plan.ok()) return plan.status();
      plan_ = *std::move(plan);
    }
    if (auto status = CheckRows(images); !status.ok()) return status;
    omp_set_num_threads(threads_);  // oneDNN's; a setting of the calling thread
    const auto tokens = pass_.Run(plan_, images);
    if (!tokens.ok()) return tokens.status();
    return Pool(*tokens);
  }

  absl::Status CheckRows(std::span<const Patches* const> images) const {
    for (size_t i = 0; i < images.size(); ++i) {
      const int64_t patches = plan_.layout.tokens_per_image[i] * config_.merge_unit();
      if (std::cmp_not_equal(images[i]->rows.size(), patches * config_.patch_values())) {
        return FieldError(fmt::format("images/{}", i),
                          fmt::format("has {} values; {} patches of {} are expected",
                                      images[i]->rows.size(), patches, config_.patch_values()));
      }
    }
    return absl::OkStatus();
  }

  // The mean of each image's tokens, summed in double: an image may have thousands.
  std::vector<std::vector<float>> Pool(std::span<const float> tokens) const {
    const auto dim = static_cast<size_t>(config_.out_hidden_size);
    std::vector<std::vector<float>> embeddings;
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
    return embeddings;
  }

  const EncoderInfo info_;
  const VisionConfig config_;
  PackedTower weights_;
  const int threads_;
  TowerPass pass_;
  TowerPlan plan_;  // of the last batch: most are alike
};

}  // namespace

bool OneDnnComputesBf16() { return HasBf16Products(); }

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateOneDnnEncoder(
    const OneDnnEncoderOptions& options) {
  const bool bf16 = options.precision == Precision::kBf16;
  if (options.precision != Precision::kFp32 && !bf16) {
    return FieldError("precision", fmt::format("must be fp32 or bf16 on the CPU; is {}",
                                               PrecisionName(options.precision)));
  }
  if (bf16 && !HasBf16Products()) {
    return FieldError("precision",
                      "bf16 needs a CPU with AVX-512 BF16 or AMX; this one computes fp32");
  }
  auto model = OpenModelDirectory(options.directory);
  if (!model.ok()) return model.status();
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  try {
    const Element element = bf16 ? Element::kBf16 : Element::kF32;
    const VisionConfig& config = model->config.vision;
    auto packed = PackTower(config, model->checkpoint, element, threads, options.progress);
    if (!packed.ok()) return packed.status();
    EncoderInfo info = DescribeModel(*model);
    info.fingerprint = ComputeFingerprint(*model, packed->digests);
    info.precision = options.precision;
    info.device = fmt::format("cpu: {}, {} threads", OneDnnDescription(), threads);
    return std::make_unique<OneDnnEncoder>(std::move(info), config, std::move(packed->tower),
                                           element, threads);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the encoder's weights");
  }
}

}  // namespace emotion::vision

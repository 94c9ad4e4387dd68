#include "vision/encoder/torch/torch_encoder.h"

#include <optional>
#include <utility>
#include <vector>

#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include "common/error/error.h"
#include "common/sync/usable_cores.h"
#include "fmt/format.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/torch/accelerator.h"
#include "vision/encoder/torch/forward_runner.h"
#include "vision/encoder/torch/guarded.h"
#include "vision/encoder/torch/torch_features.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::vision {
namespace {

std::optional<at::ScalarType> ComputeType(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return at::kFloat;
    case Precision::kBf16:
      return at::kBFloat16;
    case Precision::kFp16:
      return at::kHalf;
    default:
      return std::nullopt;
  }
}

VisionConfig ProbeConfig() {
  VisionConfig config;
  config.depth = 1;
  config.hidden_size = 8;
  config.intermediate_size = 8;
  config.num_heads = 2;
  config.out_hidden_size = 4;
  return config;
}

TowerWeights ProbeWeights(const VisionConfig& config, const at::TensorOptions& options) {
  const auto matrix = [&](int64_t out, int64_t in) {
    return LinearWeights{at::ones({out, in}, options), at::ones({out}, options)};
  };
  TowerWeights tower;
  tower.patch_embed = at::ones({8, config.patch_values()}, options);
  tower.blocks.push_back({.norm1 = at::ones({8}, options),
                          .norm2 = at::ones({8}, options),
                          .qkv = matrix(24, 8),
                          .proj = matrix(8, 8),
                          .gate = matrix(8, 8),
                          .up = matrix(8, 8),
                          .down = matrix(8, 8)});
  tower.merger_norm = at::ones({8}, options);
  tower.merger_in = matrix(32, 32);
  tower.merger_out = matrix(4, 32);
  return tower;
}

// Which device can compute what differs between LibTorch's releases: a tower of a few numbers tells
// in a millisecond, before gigabytes are loaded.
void ComputeProbe(at::ScalarType dtype, Accelerator& accelerator) {
  const VisionConfig config = ProbeConfig();
  const auto on = at::dtype(dtype).device(accelerator.device());
  const std::vector<Grid> grids = {{1, 2, 2}};
  const auto plan = PlanBatch(config, grids, accelerator.device());
  const auto rows = at::ones({4, config.patch_values()}, on);
  PoolTokens(*plan, ForwardTower(config, ProbeWeights(config, on), *plan, rows)).to(at::kCPU);
}

absl::Status Probe(at::ScalarType dtype, Accelerator& accelerator,
                   const TorchEncoderOptions& options) {
  const absl::Status computed = Guarded("trying it", [&] {
    accelerator.OnStream([&] { ComputeProbe(dtype, accelerator); });
    return absl::OkStatus();
  });
  if (computed.ok() || computed.code() == absl::StatusCode::kResourceExhausted) return computed;
  return FieldError("precision",
                    fmt::format("LibTorch {} cannot compute {} on {}: {}", TORCH_VERSION,
                                PrecisionName(options.precision), options.device,
                                FirstLine(std::string(computed.message()))));
}

class TorchEncoder final : public VisionEncoder {
 public:
  TorchEncoder(EncoderInfo info, std::unique_ptr<ForwardRunner> runner)
      : info_(std::move(info)), runner_(std::move(runner)) {}

  const EncoderInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const Patches* const> images) override {
    return runner_->Run(images);
  }

 private:
  const EncoderInfo info_;
  const std::unique_ptr<ForwardRunner> runner_;
};

std::string DeviceText(const TorchEncoderOptions& options, const Accelerator& accelerator) {
  const std::string name = accelerator.name();
  return fmt::format("{}: {}{}LibTorch {}", options.device, name, name.empty() ? "" : ", ",
                     TORCH_VERSION);
}

// Reads each tensor once: its digest is taken on the way to the device.
TowerWeights LoadWeights(const ModelDirectory& model, at::ScalarType dtype,
                         Accelerator& accelerator, const std::function<void(double)>& progress,
                         TensorDigests* digests) {
  size_t total = 0;
  for (const auto& [name, tensor] : model.checkpoint.tensors()) total += tensor.bytes.size();
  size_t done = 0;
  TowerWeights weights;
  accelerator.OnStream([&] {
    weights = LoadTower(model.config.vision, model.checkpoint, dtype, accelerator.device(),
                        [&](const std::string& name, const TensorView& tensor) {
                          (*digests)[name] = DigestOf(tensor);
                          done += tensor.bytes.size();
                          if (progress) {
                            progress(static_cast<double>(done) / static_cast<double>(total));
                          }
                        });
    accelerator.Wait();
  });
  return weights;
}

}  // namespace

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoder(
    const TorchEncoderOptions& options) {
  const auto dtype = ComputeType(options.precision);
  if (!dtype) {
    return FieldError("precision", fmt::format("must be fp32, bf16 or fp16 with LibTorch; is {}",
                                               PrecisionName(options.precision)));
  }
  auto accelerator =
      MakeAccelerator(options.device, options.threads > 0 ? options.threads : UsableCores());
  if (!accelerator.ok()) return accelerator.status();
  auto model = OpenModelDirectory(options.directory);
  if (!model.ok()) return model.status();
  using Result = absl::StatusOr<std::unique_ptr<VisionEncoder>>;
  return Guarded("loading the model", [&]() -> Result {
    const c10::InferenceMode inference;
    if (auto status = Probe(*dtype, **accelerator, options); !status.ok()) return status;
    TensorDigests digests;
    TowerWeights weights = LoadWeights(*model, *dtype, **accelerator, options.progress, &digests);
    EncoderInfo info = DescribeModel(*model);
    info.fingerprint = ComputeFingerprint(*model, digests);
    info.precision = options.precision;
    info.device = DeviceText(options, **accelerator);
    auto runner = std::make_unique<ForwardRunner>(model->config.vision, std::move(weights),
                                                  *std::move(accelerator), options.warn);
    return std::make_unique<TorchEncoder>(std::move(info), std::move(runner));
  });
}

}  // namespace emotion::vision

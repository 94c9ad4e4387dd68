#include "vision/encoder/torch/torch_encoder.h"

#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include "common/error/error.h"
#include "common/sync/usable_cores.h"
#include "fmt/format.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::vision {
namespace {

absl::Status OutOfMemory(std::string_view what) {
  const std::string text = fmt::format("out of memory: {}", what);
  return absl::ResourceExhaustedError(absl::string_view(text.data(), text.size()));
}

// Runs `body` and turns what LibTorch throws into a status: the one place where it is caught.
template <typename Body>
auto Guarded(const char* doing, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(doing);
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    // The CPU's allocator has no type of its own for this.
    if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
        message.find("not enough memory") != std::string::npos ||
        message.find("can't allocate memory") != std::string::npos) {
      return OutOfMemory(message);
    }
    return Error(Reason::kInternal, fmt::format("{}: LibTorch: {}", doing, message));
  } catch (const std::exception& error) {
    return Error(Reason::kInternal, fmt::format("{}: {}", doing, error.what()));
  }
}

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

absl::StatusOr<at::Device> ParseDevice(const std::string& name) {
  try {
    at::Device device(name);
    if (device.is_cpu() || device.is_cuda()) return device;
  } catch (const c10::Error&) {
    // Falls through to the message that names what is possible.
  }
  return FieldError("device", fmt::format("must be cpu, cuda or cuda:N; is '{}'", name));
}

int ThreadCount(int asked) { return asked > 0 ? asked : UsableCores(); }

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
absl::Status Probe(at::ScalarType dtype, at::Device device, const TorchEncoderOptions& options) {
  try {
    const c10::InferenceMode inference;
    const VisionConfig config = ProbeConfig();
    const auto on = at::dtype(dtype).device(device);
    const std::vector<Grid> grids = {{1, 2, 2}};
    const auto plan = PlanBatch(config, grids, device);
    if (!plan.ok()) return plan.status();
    const auto rows = at::ones({4, config.patch_values()}, on);
    PoolTokens(*plan, ForwardTower(config, ProbeWeights(config, on), *plan, rows)).to(at::kCPU);
    return absl::OkStatus();
  } catch (const std::exception& error) {
    const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
    const std::string why = torch_error ? torch_error->what_without_backtrace() : error.what();
    return FieldError("precision", fmt::format("LibTorch {} cannot compute {} on {}: {}",
                                               TORCH_VERSION, PrecisionName(options.precision),
                                               options.device, why.substr(0, why.find('\n'))));
  }
}

class TorchEncoder : public VisionEncoder {
 public:
  TorchEncoder(EncoderInfo info, VisionConfig config, TowerWeights weights, at::Device device,
               int threads)
      : info_(std::move(info)),
        config_(std::move(config)),
        weights_(std::move(weights)),
        device_(device),
        threads_(threads) {}

  const EncoderInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const Patches* const> images) override {
    if (images.empty()) return std::vector<std::vector<float>>();
    std::vector<Grid> grids;
    for (const Patches* image : images) grids.push_back(image->grid);
    // The layout is made first: it checks the grids that the row counts are compared with.
    return Guarded("encoding", [&]() -> absl::StatusOr<std::vector<std::vector<float>>> {
      const c10::InferenceMode inference;
      if (device_.is_cpu()) at::set_num_threads(threads_);
      if (grids != planned_) {
        auto plan = PlanBatch(config_, grids, device_);
        if (!plan.ok()) return plan.status();
        plan_ = *std::move(plan);
        planned_ = grids;
      }
      auto rows = JoinRows(images, plan_);
      if (!rows.ok()) return rows.status();
      const auto on_device = rows->to(device_, rows->scalar_type(), /*non_blocking=*/true);
      const auto tokens = ForwardTower(config_, weights_, plan_, on_device);
      return Split(PoolTokens(plan_, tokens).to(at::kCPU).contiguous());
    });
  }

 private:
  absl::StatusOr<at::Tensor> JoinRows(std::span<const Patches* const> images,
                                      const BatchPlan& plan) const {
    const int64_t width = config_.patch_values();
    int64_t patches = 0;
    for (size_t i = 0; i < images.size(); ++i) {
      const int64_t mine = plan.tokens_per_image[i] * config_.merge_unit();
      if (std::cmp_not_equal(images[i]->rows.size(), mine * width)) {
        return FieldError(fmt::format("images/{}", i),
                          fmt::format("has {} values; {} patches of {} are expected",
                                      images[i]->rows.size(), mine, width));
      }
      patches += mine;
    }
    // Pinned, so that the copy to the device neither waits nor is staged.
    at::Tensor rows =
        at::empty({patches, width}, at::dtype(at::kFloat).pinned_memory(device_.is_cuda()));
    auto* out = rows.data_ptr<float>();
    for (const Patches* image : images) {
      std::memcpy(out, image->rows.data(), image->rows.size() * sizeof(float));
      out += image->rows.size();
    }
    return rows;
  }

  std::vector<std::vector<float>> Split(const at::Tensor& pooled) const {
    std::vector<std::vector<float>> embeddings;
    for (int64_t i = 0; i < pooled.size(0); ++i) {
      const float* values = pooled.data_ptr<float>() + i * pooled.size(1);
      embeddings.emplace_back(values, values + pooled.size(1));
    }
    return embeddings;
  }

  const EncoderInfo info_;
  const VisionConfig config_;
  const TowerWeights weights_;
  const at::Device device_;
  const int threads_;
  // Of the last batch: most are alike, and index tensors need not be uploaded anew.
  std::vector<Grid> planned_;
  BatchPlan plan_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoder(
    const TorchEncoderOptions& options) {
  const auto dtype = ComputeType(options.precision);
  if (!dtype) {
    return FieldError("precision", fmt::format("must be fp32, bf16 or fp16 with LibTorch; is {}",
                                               PrecisionName(options.precision)));
  }
  const auto device = ParseDevice(options.device);
  if (!device.ok()) return device.status();
  auto model = OpenModelDirectory(options.directory);
  if (!model.ok()) return model.status();
  const int threads = ThreadCount(options.threads);
  using Result = absl::StatusOr<std::unique_ptr<VisionEncoder>>;
  return Guarded("loading the model", [&]() -> Result {
    if (device->is_cpu()) at::set_num_threads(threads);
    if (auto status = Probe(*dtype, *device, options); !status.ok()) return status;
    EncoderInfo info = DescribeModel(*model);
    info.fingerprint = ComputeFingerprint(*model, threads);
    info.precision = options.precision;
    info.device = fmt::format("{}: LibTorch {}", options.device, TORCH_VERSION);
    const c10::InferenceMode inference;
    const VisionConfig& config = model->config.vision;
    return std::make_unique<TorchEncoder>(std::move(info), config,
                                          LoadTower(config, model->checkpoint, *dtype, *device),
                                          *device, threads);
  });
}

}  // namespace emotion::vision

#include "vision/encoder/torch/accelerator.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/encoder/torch/torch_encoder.h"
#include "vision/encoder/torch/torch_features.h"

#if EMOTION_TORCH_CUDA
#include "vision/encoder/torch/cuda_accelerator.h"
#endif

namespace emotion::vision {
namespace {

class CpuAccelerator final : public Accelerator {
 public:
  explicit CpuAccelerator(int threads) : threads_(threads) {}

  at::Device device() const override { return at::kCPU; }

  void OnStream(const std::function<void()>& work) override {
    at::set_num_threads(threads_);
    work();
  }

  at::Tensor HostMemory(int64_t rows, int64_t columns) override {
    return at::empty({rows, columns}, at::dtype(at::kFloat));
  }

  void Wait() override {}
  std::unique_ptr<Recording> Record(const std::function<void()>&) override { return nullptr; }
  void FreeCached() override {}

 private:
  const int threads_;
};

absl::StatusOr<at::Device> ParseDevice(const std::string& name) {
  try {
    at::Device device(name);
    if (device.is_cpu() || device.is_cuda()) return device;
  } catch (const c10::Error&) {
    // Falls through to the message that names what is possible.
  }
  return FieldError("device", fmt::format("must be cpu, cuda or cuda:N; is '{}'", name));
}

#if !EMOTION_TORCH_CUDA
absl::Status NoCuda(const std::string& device) {
  return FieldError("device", fmt::format("is {}; this module was built with LibTorch {}, without "
                                          "CUDA: see scripts/build_torch_module.sh",
                                          device, TORCH_VERSION));
}
#endif

}  // namespace

absl::StatusOr<std::unique_ptr<Accelerator>> MakeAccelerator(const std::string& device,
                                                             int threads) {
  const auto parsed = ParseDevice(device);
  if (!parsed.ok()) return parsed.status();
  if (parsed->is_cpu()) return std::make_unique<CpuAccelerator>(threads);
#if EMOTION_TORCH_CUDA
  return MakeCudaAccelerator(*parsed);
#else
  return NoCuda(device);
#endif
}

absl::StatusOr<Precision> HalfPrecisionOf(const std::string& device) {
  const auto parsed = ParseDevice(device);
  if (!parsed.ok()) return parsed.status();
  if (parsed->is_cpu()) return Precision::kBf16;
#if EMOTION_TORCH_CUDA
  return HalfPrecisionOfCuda(*parsed);
#else
  return NoCuda(device);
#endif
}

}  // namespace emotion::vision

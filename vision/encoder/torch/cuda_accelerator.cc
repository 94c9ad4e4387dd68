#include "vision/encoder/torch/cuda_accelerator.h"

#include <utility>

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/encoder/torch/guarded.h"
#include "vision/encoder/torch/torch_features.h"

#if EMOTION_TORCH_GRAPHS
#include <ATen/cuda/CUDAGraph.h>
#endif

namespace emotion::vision {
namespace {

#if EMOTION_TORCH_GRAPHS

class CudaRecording final : public Recording {
 public:
  // Begins on the thread's current stream. `pool`: memory that all recordings of a device share,
  // which is sound because each one's result is copied out before another is started.
  explicit CudaRecording(at::cuda::MempoolId_t pool) {
    // Thread-local: what the threads of other devices allocate meanwhile is none of its business.
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
  }

  void End() { graph_.capture_end(); }
  void Replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

// After a capture that failed, so that the stream and the allocator are out of it.
void AbandonCapture(CudaRecording& recording, at::cuda::MempoolId_t pool, c10::DeviceIndex device) {
  const auto try_to = [](auto step) {
    try {
      step();
    } catch (const c10::Error&) {
      // Was not in that state; the failure that is told is the first one.
    }
  };
  try_to([&] { recording.End(); });
  try_to([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool); });
  static_cast<void>(cudaGetLastError());  // or the next call that checks would report it
}

#endif

absl::StatusOr<c10::DeviceIndex> IndexOf(at::Device device) {
  const int count = c10::cuda::device_count();
  const int index = device.has_index() ? device.index() : 0;
  if (index >= 0 && index < count) return static_cast<c10::DeviceIndex>(index);
  return FieldError("device",
                    fmt::format("is {}; LibTorch sees {} CUDA devices here", device.str(), count));
}

class CudaAccelerator final : public Accelerator {
 public:
  explicit CudaAccelerator(c10::DeviceIndex device)
      : device_(at::kCUDA, device),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device)) {}

  at::Device device() const override { return device_; }

  std::string name() const override {
    cudaDeviceProp properties;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device_.index()));
    return properties.name;
  }

  void OnStream(const std::function<void()>& work) override {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    work();
  }

  at::Tensor HostMemory(int64_t rows, int64_t columns) override {
    return at::empty({rows, columns}, at::dtype(at::kFloat).pinned_memory(true));
  }

  void Wait() override { stream_.synchronize(); }

#if EMOTION_TORCH_GRAPHS
  std::unique_ptr<Recording> Record(const std::function<void()>& work) override {
    if (pool_ == at::cuda::MempoolId_t{0, 0}) pool_ = at::cuda::graph_pool_handle();
    auto recording = std::make_unique<CudaRecording>(pool_);
    try {
      work();
      recording->End();
    } catch (...) {
      AbandonCapture(*recording, pool_, device_.index());
      throw;
    }
    return recording;
  }
#else
  std::unique_ptr<Recording> Record(const std::function<void()>&) override { return nullptr; }
#endif

  void FreeCached() override { c10::cuda::CUDACachingAllocator::emptyCache(); }

 private:
  const at::Device device_;
  const c10::cuda::CUDAStream stream_;
#if EMOTION_TORCH_GRAPHS
  at::cuda::MempoolId_t pool_{0, 0};
#endif
};

}  // namespace

absl::StatusOr<std::unique_ptr<Accelerator>> MakeCudaAccelerator(at::Device device) {
  using Result = absl::StatusOr<std::unique_ptr<Accelerator>>;
  return Guarded("opening the CUDA device", [&]() -> Result {
    const auto index = IndexOf(device);
    if (!index.ok()) return index.status();
    return std::make_unique<CudaAccelerator>(*index);
  });
}

absl::StatusOr<Precision> HalfPrecisionOfCuda(at::Device device) {
  return Guarded("asking the CUDA device", [&]() -> absl::StatusOr<Precision> {
    const auto index = IndexOf(device);
    if (!index.ok()) return index.status();
    int capability = 0;
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, *index));
    return capability >= 8 ? Precision::kBf16 : Precision::kFp16;
  });
}

}  // namespace emotion::vision

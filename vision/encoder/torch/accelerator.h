// What a device adds to LibTorch's tensors: memory that it reads by itself, a stream, work recorded
// for replay, and a way to wait.
//
// One per encoder, used by one thread at a time (not always the same). Everything may throw what
// LibTorch throws. Include only where LibTorch is at home.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {

// Work that was recorded once and can be started again as a whole.
class Recording {
 public:
  virtual ~Recording() = default;
  // Starts it on the stream that it was recorded on: the same kernels on the same memory.
  virtual void Replay() = 0;
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;

  virtual at::Device device() const = 0;

  // The device's own name, such as "NVIDIA H100"; empty for the CPU.
  virtual std::string name() const { return {}; }

  // Runs `work` with this device and its stream as the thread's current ones. What `work` started
  // may go on after it. The calls below are to be made from within.
  virtual void OnStream(const std::function<void()>& work) = 0;

  // Host memory for float32 [rows, columns], uninitialised: copies between it and the device go on
  // without the host (pinned, on CUDA).
  virtual at::Tensor HostMemory(int64_t rows, int64_t columns) = 0;

  // Blocks until all that was started on the stream is done.
  virtual void Wait() = 0;

  // Records `work`, which must have run before (first calls allocate and choose kernels), touches
  // the host for nothing, and leaves its result in memory that outlives the recording. Null: this
  // device records nothing. May throw; then the stream is as before.
  virtual std::unique_ptr<Recording> Record(const std::function<void()>& work) = 0;

  // Gives unused memory that LibTorch keeps for later back to the device.
  virtual void FreeCached() = 0;
};

// `device`: "cpu", "cuda" or "cuda:N". `threads`: of the CPU's work. INVALID_ARGUMENT for a device
// of another name, or that is not there.
absl::StatusOr<std::unique_ptr<Accelerator>> MakeAccelerator(const std::string& device,
                                                             int threads);

}  // namespace emotion::vision

// A CUDA device: its own stream, pinned memory, graphs. Only where EMOTION_TORCH_CUDA is 1.
//
// Written against LibTorch 2.9 and CUDA 12.8; it has been compiled and linked, and has never run on
// a GPU (docs/benchmarks.md).
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "vision/encoder/torch/accelerator.h"

namespace emotion::vision {

// INVALID_ARGUMENT when there is no such device.
absl::StatusOr<std::unique_ptr<Accelerator>> MakeCudaAccelerator(at::Device device);

// bf16 from compute capability 8.0 (Ampere), fp16 before.
absl::StatusOr<Precision> HalfPrecisionOfCuda(at::Device device);

}  // namespace emotion::vision

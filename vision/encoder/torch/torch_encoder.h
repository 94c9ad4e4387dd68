// The vision encoder on LibTorch: the reference on the CPU, and the implementation for CUDA.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {

struct TorchEncoderOptions {
  std::string directory;  // see vision/encoder/model_directory.h
  Precision precision = Precision::kFp32;
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:N"
  // Threads of one Encode on the CPU; 0: all cores of this process. LibTorch's pool is one per
  // process, so the last encoder that computes sets it for all.
  int threads = 0;
  std::function<void(double)> progress = {};  // the share of the weights that is loaded, 0 to 1
  // Told, seldom and in one sentence, what went wrong without stopping anything. Called by Encode.
  std::function<void(std::string_view)> warn = {};
};

// Loads the weights (7B in fp32: 2.7 GB) onto the device and computes the fingerprint in the same
// pass; seconds. Errors: INVALID_ARGUMENT or NOT_FOUND for the files (see weights.h),
// INVALID_ARGUMENT for a device or precision that this LibTorch cannot compute, RESOURCE_EXHAUSTED
// when memory does not suffice.
absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoder(
    const TorchEncoderOptions& options);

// The half precision that `device` is made for: of GPUs bf16 from compute capability 8.0 and fp16
// before; of CPUs bf16. INVALID_ARGUMENT for a device that is not there.
absl::StatusOr<Precision> HalfPrecisionOf(const std::string& device);

}  // namespace emotion::vision

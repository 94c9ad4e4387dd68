// The vision encoder on LibTorch: the reference on the CPU, and the implementation for CUDA.
#pragma once

#include <memory>
#include <string>

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
};

// Loads the weights (7B in fp32: 2.7 GB) and computes the fingerprint; seconds. Errors:
// INVALID_ARGUMENT or NOT_FOUND for the files (see weights.h), INVALID_ARGUMENT for a device or
// precision that this LibTorch cannot compute, RESOURCE_EXHAUSTED when memory does not suffice.
absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoder(
    const TorchEncoderOptions& options);

}  // namespace emotion::vision

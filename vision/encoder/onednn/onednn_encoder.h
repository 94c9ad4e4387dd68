// The vision encoder on oneDNN: what runs on CPUs. Needs no LibTorch.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {

struct OneDnnEncoderOptions {
  std::string directory;                   // see vision/encoder/model_directory.h
  Precision precision = Precision::kFp32;  // any but kFp16; kBf16 on CPUs that have it
  // Threads of one Encode; 0: the cores this process may use.
  int threads = 0;
  // Is told the share of the weights that is loaded, from 0 to 1, on the calling thread.
  std::function<void(double)> progress = {};
  // Takes kBf16 on any CPU: the same values and roundings, products by way of fp32. For tests and
  // for measuring accuracy; slower than fp32.
  bool emulate_bf16 = false;
};

// Loads and packs the weights (7B in fp32: 2.7 GB) and computes the fingerprint; seconds. Errors:
// INVALID_ARGUMENT or NOT_FOUND for the files (see weights.h), INVALID_ARGUMENT for a precision
// that this CPU cannot compute, RESOURCE_EXHAUSTED when memory does not suffice.
absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateOneDnnEncoder(
    const OneDnnEncoderOptions& options);

// Whether CreateOneDnnEncoder takes kBf16 on this CPU.
bool OneDnnComputesBf16();

}  // namespace emotion::vision

// Makes the encoder that a device asks for: the one place that knows which implementations exist.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {

struct EncoderOptions {
  std::string directory;  // see vision/encoder/model_directory.h
  Precision precision = Precision::kFp32;
  // "cpu": oneDNN. "torch-cpu" (the reference), "cuda" and "cuda:N": LibTorch, from a module that
  // is loaded when it is first asked for.
  std::string device = "cpu";
  int threads = 0;                            // on the CPU; 0: the cores this process may use
  std::function<void(double)> progress = {};  // the share of the weights that is loaded, 0 to 1
};

// Loads the weights and computes the fingerprint; seconds. Errors: those of CreateOneDnnEncoder and
// CreateTorchEncoder; INVALID_ARGUMENT for another device; FAILED_PRECONDITION, naming the file,
// where the LibTorch module is not installed or cannot be loaded.
absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateEncoder(const EncoderOptions& options);

// The half precision that `device` computes faster than single: on GPUs bf16 from compute
// capability 8.0 and fp16 before, on CPUs bf16 with AVX-512 BF16 or AMX; kFp32: none. Errors: those
// of CreateEncoder for the device.
absl::StatusOr<Precision> HalfPrecisionOn(const std::string& device);

}  // namespace emotion::vision

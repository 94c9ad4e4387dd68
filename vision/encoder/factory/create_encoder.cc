#include "vision/encoder/factory/create_encoder.h"

#include "vision/encoder/factory/torch_module.h"
#include "vision/encoder/onednn/onednn_encoder.h"

namespace emotion::vision {

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateEncoder(const EncoderOptions& options) {
  if (options.device == "cpu") {
    return CreateOneDnnEncoder({.directory = options.directory,
                                .precision = options.precision,
                                .threads = options.threads,
                                .progress = options.progress});
  }
  return CreateTorchEncoderFromModule(
      {.directory = options.directory,
       .precision = options.precision,
       .device = options.device == "torch-cpu" ? "cpu" : options.device,
       .threads = options.threads});
}

bool CpuComputesBf16() { return OneDnnComputesBf16(); }

}  // namespace emotion::vision

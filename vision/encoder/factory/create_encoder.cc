#include "vision/encoder/factory/create_encoder.h"

#include "common/log/log.h"
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
       .threads = options.threads,
       .progress = options.progress,
       .warn = [](std::string_view what) {
         LogWarning("the LibTorch encoder", {{"warning", what}});
       }});
}

absl::StatusOr<Precision> HalfPrecisionOn(const std::string& device) {
  if (device.starts_with("cuda")) return HalfPrecisionFromModule(device);
  return OneDnnComputesBf16() ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace emotion::vision

#include "vision/encoder/torch/module.h"

#define EMOTION_EXPORT __attribute__((visibility("default")))

extern "C" EMOTION_EXPORT const char* emotion_torch_module_version() {
  return emotion::vision::kTorchModuleInterface;
}

extern "C" EMOTION_EXPORT void emotion_torch_module_create(
    const emotion::vision::TorchEncoderOptions& options,
    absl::StatusOr<std::unique_ptr<emotion::vision::VisionEncoder>>& encoder) {
  encoder = emotion::vision::CreateTorchEncoder(options);
}

extern "C" EMOTION_EXPORT void emotion_torch_module_half_precision(
    const std::string& device, absl::StatusOr<emotion::vision::Precision>& precision) {
  precision = emotion::vision::HalfPrecisionOf(device);
}

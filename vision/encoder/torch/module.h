// What the LibTorch module and those who load it agree on; see
// vision/encoder/factory/torch_module.h.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/torch/torch_encoder.h"

namespace emotion::vision {

inline constexpr const char* kTorchModuleFile = "libemotion_torch.so";
// To be raised with every change of TorchEncoderOptions or VisionEncoder: C++ types pass between.
inline constexpr const char* kTorchModuleInterface = "emotion-torch-2";
inline constexpr const char* kTorchModuleVersionName = "emotion_torch_module_version";
inline constexpr const char* kTorchModuleCreateName = "emotion_torch_module_create";
inline constexpr const char* kTorchModuleHalfName = "emotion_torch_module_half_precision";

using TorchModuleVersion = const char*();
using TorchModuleCreate = void(const TorchEncoderOptions& options,
                               absl::StatusOr<std::unique_ptr<VisionEncoder>>& encoder);
using TorchModuleHalf = void(const std::string& device, absl::StatusOr<Precision>& precision);

}  // namespace emotion::vision

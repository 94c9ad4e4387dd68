#include "vision/encoder/factory/torch_module.h"

#include <cstring>
#include <filesystem>
#include <string>

#include <dlfcn.h>

#include "common/install/shared_files.h"
#include "fmt/format.h"
#include "vision/encoder/torch/module.h"

namespace emotion::vision {
namespace {

absl::Status NotUsable(const std::filesystem::path& path, std::string_view why) {
  const std::string text = fmt::format(
      "this device needs LibTorch, from {}: {}. Build the target emotion_torch_module, or use "
      "DEVICE=cpu",
      path.string(), why);
  return absl::FailedPreconditionError(text);
}

struct TorchModule {
  TorchModuleCreate* create;
  TorchModuleHalf* half_precision;
};

absl::StatusOr<TorchModule> LoadModule() {
  const auto path =
      ThisProgram().parent_path().parent_path() / "lib/emotion-api" / kTorchModuleFile;
  void* const opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return NotUsable(path, dlerror());
  auto* const version =
      reinterpret_cast<TorchModuleVersion*>(dlsym(opened, kTorchModuleVersionName));
  const TorchModule module = {
      .create = reinterpret_cast<TorchModuleCreate*>(dlsym(opened, kTorchModuleCreateName)),
      .half_precision = reinterpret_cast<TorchModuleHalf*>(dlsym(opened, kTorchModuleHalfName))};
  if (version == nullptr || std::strcmp(version(), kTorchModuleInterface) != 0 ||
      module.create == nullptr || module.half_precision == nullptr) {
    return NotUsable(path, "it is of another version than this program");
  }
  return module;
}

const absl::StatusOr<TorchModule>& Module() {
  static const absl::StatusOr<TorchModule> module = LoadModule();
  return module;
}

}  // namespace

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoderFromModule(
    const TorchEncoderOptions& options) {
  if (!Module().ok()) return Module().status();
  absl::StatusOr<std::unique_ptr<VisionEncoder>> encoder = absl::InternalError("not created");
  Module()->create(options, encoder);
  return encoder;
}

absl::StatusOr<Precision> HalfPrecisionFromModule(const std::string& device) {
  if (!Module().ok()) return Module().status();
  absl::StatusOr<Precision> precision = absl::InternalError("not asked");
  Module()->half_precision(device, precision);
  return precision;
}

}  // namespace emotion::vision

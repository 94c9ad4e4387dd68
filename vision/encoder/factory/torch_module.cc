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

absl::StatusOr<TorchModuleCreate*> LoadModule() {
  const auto path =
      ThisProgram().parent_path().parent_path() / "lib/emotion-api" / kTorchModuleFile;
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return NotUsable(path, dlerror());
  auto* const version =
      reinterpret_cast<TorchModuleVersion*>(dlsym(module, kTorchModuleVersionName));
  auto* const create = reinterpret_cast<TorchModuleCreate*>(dlsym(module, kTorchModuleCreateName));
  if (version == nullptr || create == nullptr ||
      std::strcmp(version(), kTorchModuleInterface) != 0) {
    return NotUsable(path, "it is of another version than this program");
  }
  return create;
}

}  // namespace

absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoderFromModule(
    const TorchEncoderOptions& options) {
  static const absl::StatusOr<TorchModuleCreate*> create = LoadModule();
  if (!create.ok()) return create.status();
  absl::StatusOr<std::unique_ptr<VisionEncoder>> encoder = absl::InternalError("not created");
  (*create)(options, encoder);
  return encoder;
}

}  // namespace emotion::vision

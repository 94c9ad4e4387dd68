#include "common/models/model_location.h"

#include "common/install/shared_files.h"
#include "fmt/format.h"

namespace emotion {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHowToGet =
    "put a Hugging Face directory of Qwen2.5-VL into MODELS_DIR/encoder and your heads into "
    "MODELS_DIR/classifiers (models/README.md says how), or leave MODELS_DIR unset to run the demo "
    "model";

absl::StatusOr<ModelLocation> LocateDemo(const fs::path& program) {
  const auto folder = FindSharedFiles(program, "models/demo");
  if (folder) return ModelLocation{.root = *folder, .demo = true};
  return absl::NotFoundError(
      fmt::format("the demo model does not lie where {} was installed or built; set MODELS_DIR",
                  program.string()));
}

}  // namespace

absl::StatusOr<ModelLocation> LocateModels(const fs::path& models_dir, DemoMode mode,
                                           const fs::path& program) {
  if (mode == DemoMode::kAlways) return LocateDemo(program);
  if (models_dir.empty()) {
    if (mode == DemoMode::kAuto) return LocateDemo(program);
    return absl::FailedPreconditionError(
        "MODELS_DIR is not set and DEMO=never refuses the demo model: set MODELS_DIR");
  }
  std::error_code ignored;
  const fs::path current = models_dir / "current";
  ModelLocation location{.root = fs::is_directory(current, ignored) ? current : models_dir,
                         .demo = false,
                         .refuse_demo = mode == DemoMode::kNever};
  if (!fs::is_directory(location.root, ignored)) {
    return absl::NotFoundError(
        fmt::format("MODELS_DIR {} is not a directory: {}", models_dir.string(), kHowToGet));
  }
  return location;
}

absl::StatusOr<ModelLocation> ModelsFromSettings(const Settings& settings) {
  const std::string_view demo = settings.String("DEMO");
  const DemoMode mode = demo == "always"  ? DemoMode::kAlways
                        : demo == "never" ? DemoMode::kNever
                                          : DemoMode::kAuto;
  return LocateModels(settings.String("MODELS_DIR"), mode, ThisProgram());
}

absl::Status CheckDemo(const ModelLocation& location, bool part_is_demo, std::string_view part) {
  if (!part_is_demo || !location.refuse_demo) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("{} in {} is a demo, which DEMO=never refuses", part, location.root.string()));
}

absl::Status RequireModelFile(const fs::path& file, std::string_view part) {
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored)) return absl::OkStatus();
  return absl::NotFoundError(
      fmt::format("{} of {} is missing: {}", file.string(), part, kHowToGet));
}

}  // namespace emotion

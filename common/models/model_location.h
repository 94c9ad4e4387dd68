// Where the models are: MODELS_DIR, or the demo model that comes with the program.
//
// A models folder holds `encoder/` (a Hugging Face directory) and `classifiers/`
// (mlp_<State>_best.pth); both below `current/` where that exists, so that a whole set can be
// exchanged by one rename. Each process needs, and checks, only its own part.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/config/settings.h"

namespace emotion {

// DEMO: auto takes the demo where MODELS_DIR is unset.
enum class DemoMode { kAuto, kNever, kAlways };

struct ModelLocation {
  std::filesystem::path root;
  bool demo = false;
  bool refuse_demo = false;  // DEMO=never: also where MODELS_DIR turns out to hold a demo

  std::filesystem::path encoder() const { return root / "encoder"; }
  std::filesystem::path classifiers() const { return root / "classifiers"; }
};

// `models_dir` empty: not set. `program` is the running executable, which the demo model lies
// beside (common/install/shared_files.h).
//
// FAILED_PRECONDITION when nothing is named and the demo is refused, NOT_FOUND when the folder does
// not exist; both say what to do.
absl::StatusOr<ModelLocation> LocateModels(const std::filesystem::path& models_dir, DemoMode mode,
                                           const std::filesystem::path& program);

// The same out of MODELS_DIR and DEMO, for this program.
absl::StatusOr<ModelLocation> ModelsFromSettings(const Settings& settings);

// FAILED_PRECONDITION when a part that was loaded (`part`, such as "the encoder") is a demo and
// DEMO=never refuses that.
absl::Status CheckDemo(const ModelLocation& location, bool part_is_demo, std::string_view part);

// NOT_FOUND unless `file` exists; the message names it, what it is for (`part`, such as "the
// encoder") and how to get it.
absl::Status RequireModelFile(const std::filesystem::path& file, std::string_view part);

}  // namespace emotion

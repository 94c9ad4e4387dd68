// Judges the demo's files as the services would use them: the real encoder, the real heads.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "absl/status/statusor.h"
#include "training/demo/level_scores.h"

namespace emotion::training {

struct DemoEvaluation {
  uint64_t seed = 0;
  size_t faces = 0;
  std::array<LevelScore, kStateCount> states;  // in the order of kStates
};

// Draws `faces` faces of the test split of `seed` (never trained on, whatever the seed) and lets
// `models`/encoder in fp32 and `models`/classifiers name them. Errors: those of the two loaders.
absl::StatusOr<DemoEvaluation> EvaluateDemo(const std::filesystem::path& models, uint64_t seed,
                                            size_t faces);

}  // namespace emotion::training

// The whole way from a seed to the demo model's files: train, write, measure.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "training/demo/trainer.h"

namespace emotion::training {

struct TrainDemoRequest {
  std::filesystem::path output = "models/demo";
  TrainOptions training{.time_limit = std::chrono::minutes(10)};
  bool help = false;
};

inline constexpr char kTrainDemoUsage[] =
    "usage: emotion-train-demo [--output DIR] [--seed N] [--steps N] [--minutes M]\n"
    "Draws faces, trains the demo model on them and writes it to DIR (models/demo).\n"
    "  --seed N     another seed is another model (1)\n"
    "  --steps N    length of the training (as released)\n"
    "  --minutes M  a slower machine trains less and ends in time; 0: no limit (10)\n"
    "Faces are drawn, the rule that names them is invented: the model measures nobody.\n";

// INVALID_ARGUMENT, naming the argument, for what is not in the usage.
absl::StatusOr<TrainDemoRequest> ParseTrainDemoArguments(std::span<const std::string> arguments);

// Prints its progress to stdout. Existing files in `output` are replaced. Throws what LibTorch
// throws.
absl::Status TrainDemo(const TrainDemoRequest& request);

}  // namespace emotion::training

// A checkpoint of random weights in a released model's sizes: for benchmarks and tests where the
// real weights are not at hand. What it computes means nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/safetensors.h"

namespace emotion::vision {

enum class ModelSize { kTiny, k3b, k7b, k32b, k72b };

// "tiny", "3b", "7b", "32b", "72b"; nullopt for any other name.
std::optional<ModelSize> ParseModelSize(std::string_view name);

// The tower of a released model; kTiny is one of 0.2 million parameters that still has windows and
// full attention.
VisionConfig SizeConfig(ModelSize size);

struct RandomCheckpointOptions {
  std::string directory;                   // made when absent; must be empty
  VisionConfig config;                     // such as SizeConfig(ModelSize::k7b)
  std::string name = "random";             // goes into config.json
  uint64_t seed = 1;                       // see random_weights.h; equal seeds give equal files
  bool outliers = false;                   // see FillOutlierWeights
  DType dtype = DType::kBF16;              // kF32, kF16 or kBF16
  int64_t shard_bytes = int64_t{1} << 30;  // a tensor is never cut
  // Called now and then with the bytes written so far and in all.
  std::function<void(int64_t done, int64_t total)> progress;
};

// Writes safetensors (with an index when there are several), preprocessor_config.json and, last,
// config.json; constant memory. INVALID_ARGUMENT for options that make no sense,
// FAILED_PRECONDITION when the directory is not empty, INTERNAL when the disk refuses.
[[nodiscard]] absl::Status WriteRandomCheckpoint(const RandomCheckpointOptions& options);

}  // namespace emotion::vision

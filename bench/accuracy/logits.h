// Four heads over embeddings: those of a model, or random ones for an encoder without heads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/affect/affect.h"

namespace emotion::bench {

using Vectors = std::vector<std::vector<float>>;
// [state][level], less the mean of the four levels, which no probability depends on.
using Logits = std::array<std::array<float, kLevelCount>, kStateCount>;
using Heads = std::function<Logits(std::span<const float> embedding)>;

// DIRECTORY/mlp_<State>_best.pth with calibration. Errors: those of LoadHeadCheckpoint.
absl::StatusOr<Heads> LoadHeads(const std::string& directory);

// Linear heads of random weights over embeddings brought to mean 0 and deviation 1 in each value,
// as they are over `embeddings`: what a trained head with a batch norm in front sees. REQUIRES: at
// least one embedding, all as long.
Heads RandomHeads(const Vectors& embeddings, uint64_t seed);

}  // namespace emotion::bench

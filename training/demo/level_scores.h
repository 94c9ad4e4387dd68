// How well levels were told, and how sure to be of them. Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "common/affect/affect.h"

namespace emotion::training {

struct LevelScore {
  std::array<size_t, kLevelCount> support{};  // faces that have each level
  double accuracy = 0;
  double f1_macro = 0;  // mean over the levels that occur
  // What one gets by always saying the most frequent level: the number to beat.
  double majority_accuracy = 0;
  double majority_f1_macro = 0;
};

// REQUIRES: spans of one length, levels in 0 .. kLevelCount - 1. All zero for no faces.
LevelScore ScoreLevels(std::span<const int> truth, std::span<const int> told);

// The level with the largest logit, per face; of equal ones the lowest.
std::vector<int> MostProbable(std::span<const float> logits);  // [faces, kLevelCount]

// The temperature in 0.05..20 by which logits are best divided: that with the least log loss.
// 1 for no faces.
float FitTemperature(std::span<const float> logits, std::span<const int> truth);

}  // namespace emotion::training

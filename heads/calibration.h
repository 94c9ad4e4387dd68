// From logits to probabilities that mean something.
//
// A head's calibration divides the logits by a temperature and adds a bias per level (which also
// moves the prior); both were fitted on validation data and travel in the checkpoint. Pure
// functions, in double.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/affect/affect.h"

namespace emotion::heads {

using LevelArray = std::array<double, kLevelCount>;

struct Calibration {
  std::string method;                // such as "vector_scaling"; empty: none
  std::optional<float> temperature;  // absent: 1
  std::vector<float> bias;           // kLevelCount values, or none: 0
  std::string prior;                 // what the bias assumes of the levels' frequencies
};

// INVALID_ARGUMENT unless temperature is in 0.01..100 and bias has kLevelCount or no values, each
// within -100..100.
absl::Status CheckCalibration(const Calibration& calibration);

// logits / temperature + bias. REQUIRES: logits.size() == kLevelCount; CheckCalibration is OK.
LevelArray CalibratedLogits(std::span<const float> logits, const Calibration& calibration);

// Sums to 1 also for logits of any finite size.
LevelArray Softmax(const LevelArray& logits);

// The index of the largest value; of equal ones the lowest.
int MostProbableLevel(const LevelArray& values);

// Sum of probability x level.
double ExpectedLevel(const LevelArray& probabilities);

}  // namespace emotion::heads

#include "heads/calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fmt/format.h"

namespace emotion::heads {

absl::Status CheckCalibration(const Calibration& calibration) {
  constexpr float kColdest = 0.01F;
  constexpr float kHottest = 100.0F;
  constexpr float kLargestBias = 100.0F;
  const float temperature = calibration.temperature.value_or(1.0F);
  // Written so that NaN fails.
  if (!(temperature >= kColdest && temperature <= kHottest)) {
    return absl::InvalidArgumentError(fmt::format(
        "calibration.temperature must be in {}..{}; was {}", kColdest, kHottest, temperature));
  }
  if (!calibration.bias.empty() && calibration.bias.size() != kLevelCount) {
    return absl::InvalidArgumentError(fmt::format("calibration.bias must have {} values; has {}",
                                                  kLevelCount, calibration.bias.size()));
  }
  for (float bias : calibration.bias) {
    if (!(std::abs(bias) <= kLargestBias)) {
      return absl::InvalidArgumentError(
          fmt::format("calibration.bias must be within -{0}..{0}; was {1}", kLargestBias, bias));
    }
  }
  return absl::OkStatus();
}

LevelArray CalibratedLogits(std::span<const float> logits, const Calibration& calibration) {
  const double temperature = calibration.temperature.value_or(1.0F);
  LevelArray calibrated;
  for (size_t level = 0; level < kLevelCount; ++level) {
    const double bias = calibration.bias.empty() ? 0.0 : calibration.bias[level];
    calibrated[level] = logits[level] / temperature + bias;
  }
  return calibrated;
}

LevelArray Softmax(const LevelArray& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  LevelArray probabilities;
  std::transform(logits.begin(), logits.end(), probabilities.begin(),
                 [&](double logit) { return std::exp(logit - largest); });
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

int MostProbableLevel(const LevelArray& values) {
  return static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
}

double ExpectedLevel(const LevelArray& probabilities) {
  double expected = 0;
  for (size_t level = 0; level < kLevelCount; ++level) {
    expected += probabilities[level] * static_cast<double>(level);
  }
  return expected;
}

}  // namespace emotion::heads

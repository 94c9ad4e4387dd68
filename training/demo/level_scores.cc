#include "training/demo/level_scores.h"

#include <algorithm>
#include <cmath>

namespace emotion::training {
namespace {

using Confusion = std::array<std::array<size_t, kLevelCount>, kLevelCount>;  // [truth][told]

double MacroF1(const Confusion& confusion) {
  double sum = 0;
  int occurring = 0;
  for (size_t level = 0; level < kLevelCount; ++level) {
    size_t true_faces = 0, told_faces = 0;
    for (size_t other = 0; other < kLevelCount; ++other) {
      true_faces += confusion[level][other];
      told_faces += confusion[other][level];
    }
    if (true_faces == 0) continue;
    ++occurring;
    sum += 2.0 * static_cast<double>(confusion[level][level]) /
           static_cast<double>(true_faces + told_faces);
  }
  return occurring == 0 ? 0 : sum / occurring;
}

double Accuracy(const Confusion& confusion, size_t faces) {
  size_t right = 0;
  for (size_t level = 0; level < kLevelCount; ++level) right += confusion[level][level];
  return faces == 0 ? 0 : static_cast<double>(right) / static_cast<double>(faces);
}

Confusion Count(std::span<const int> truth, std::span<const int> told) {
  Confusion confusion{};
  for (size_t face = 0; face < truth.size(); ++face) {
    ++confusion.at(static_cast<size_t>(truth[face])).at(static_cast<size_t>(told[face]));
  }
  return confusion;
}

double LogLoss(std::span<const float> logits, std::span<const int> truth, double temperature) {
  double loss = 0;
  for (size_t face = 0; face < truth.size(); ++face) {
    const auto mine = logits.subspan(face * kLevelCount, kLevelCount);
    const double top = *std::max_element(mine.begin(), mine.end());
    double sum = 0;
    for (float logit : mine) sum += std::exp((logit - top) / temperature);
    loss += std::log(sum) - (mine[static_cast<size_t>(truth[face])] - top) / temperature;
  }
  return loss;
}

}  // namespace

LevelScore ScoreLevels(std::span<const int> truth, std::span<const int> told) {
  LevelScore score;
  for (int level : truth) ++score.support.at(static_cast<size_t>(level));
  const Confusion confusion = Count(truth, told);
  score.accuracy = Accuracy(confusion, truth.size());
  score.f1_macro = MacroF1(confusion);
  const auto most = std::max_element(score.support.begin(), score.support.end());
  const std::vector<int> majority(truth.size(), static_cast<int>(most - score.support.begin()));
  const Confusion simple = Count(truth, majority);
  score.majority_accuracy = Accuracy(simple, truth.size());
  score.majority_f1_macro = MacroF1(simple);
  return score;
}

std::vector<int> MostProbable(std::span<const float> logits) {
  std::vector<int> levels;
  for (size_t first = 0; first < logits.size(); first += kLevelCount) {
    const auto mine = logits.subspan(first, kLevelCount);
    levels.push_back(static_cast<int>(std::max_element(mine.begin(), mine.end()) - mine.begin()));
  }
  return levels;
}

float FitTemperature(std::span<const float> logits, std::span<const int> truth) {
  if (truth.empty()) return 1;
  // The log loss is convex in 1 / temperature, so one valley: ternary search over its logarithm.
  double low = std::log(0.05), high = std::log(20.0);
  while (high - low > 1e-4) {
    const double left = low + (high - low) / 3, right = high - (high - low) / 3;
    if (LogLoss(logits, truth, std::exp(left)) < LogLoss(logits, truth, std::exp(right))) {
      high = right;
    } else {
      low = left;
    }
  }
  return static_cast<float>(std::exp((low + high) / 2));
}

}  // namespace emotion::training

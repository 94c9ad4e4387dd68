#include "bench/accuracy/logits.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <random>
#include <utility>

#include "fmt/format.h"
#include "heads/calibration.h"
#include "heads/head_checkpoint.h"
#include "heads/mlp_head.h"

namespace emotion::bench {
namespace {

void Centre(std::array<float, kLevelCount>& levels) {
  float mean = 0;
  for (const float level : levels) mean += level / kLevelCount;
  for (float& level : levels) level -= mean;
}

struct TrainedHead {
  heads::MlpHead network;
  heads::Calibration calibration;
};

// weight . (x - mean) / deviation, for each state and level.
struct LinearHeads {
  std::vector<float> weights;  // [state, level, dim]
  std::vector<double> mean;

  Logits operator()(std::span<const float> x) const {
    Logits logits{};
    const float* weight = weights.data();
    for (auto& levels : logits) {
      for (float& level : levels) {
        double sum = 0;
        for (size_t d = 0; d < x.size(); ++d) sum += weight[d] * (x[d] - mean[d]);
        level = static_cast<float>(sum / std::sqrt(static_cast<double>(x.size())));
        weight += x.size();
      }
      Centre(levels);
    }
    return logits;
  }
};

}  // namespace

absl::StatusOr<Heads> LoadHeads(const std::string& directory) {
  auto trained = std::make_shared<std::vector<TrainedHead>>();  // shared: a function is copied
  for (const State state : kStates) {
    const auto file = fmt::format("{}/mlp_{}_best.pth", directory, StateName(state));
    auto checkpoint = heads::LoadHeadCheckpoint(file);
    if (!checkpoint.ok()) return checkpoint.status();
    auto network = heads::MlpHead::Create(checkpoint->network);
    if (!network.ok()) return network.status();
    trained->push_back({*std::move(network), std::move(checkpoint->calibration)});
  }
  return [trained](std::span<const float> embedding) {
    Logits logits{};
    for (size_t state = 0; state < kStateCount; ++state) {
      const TrainedHead& head = trained->at(state);
      const auto found = heads::CalibratedLogits(head.network.Forward(embedding), head.calibration);
      std::ranges::transform(found, logits[state].begin(),
                             [](double logit) { return static_cast<float>(logit); });
      Centre(logits[state]);
    }
    return logits;
  };
}

Heads RandomHeads(const Vectors& embeddings, uint64_t seed) {
  const size_t dim = embeddings.front().size();
  const auto count = static_cast<double>(embeddings.size());
  std::vector<double> mean(dim);
  std::vector<double> variance(dim);
  for (const auto& x : embeddings) {
    for (size_t d = 0; d < dim; ++d) mean[d] += x[d] / count;
  }
  for (const auto& x : embeddings) {
    for (size_t d = 0; d < dim; ++d) variance[d] += (x[d] - mean[d]) * (x[d] - mean[d]) / count;
  }
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  LinearHeads heads{.weights = {}, .mean = mean};
  for (size_t i = 0; i < kStateCount * kLevelCount * dim; ++i) {
    const double deviation = std::sqrt(variance[i % dim]);
    heads.weights.push_back(deviation > 0 ? static_cast<float>(normal(generator) / deviation)
                                          : 0.0F);
  }
  return heads;
}

}  // namespace emotion::bench

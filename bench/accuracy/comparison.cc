#include "bench/accuracy/comparison.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace emotion::bench {
namespace {

std::vector<double> MeanOf(const Vectors& vectors) {
  std::vector<double> mean(vectors.front().size());
  for (const auto& x : vectors) {
    for (size_t d = 0; d < x.size(); ++d) mean[d] += x[d] / static_cast<double>(vectors.size());
  }
  return mean;
}

// Of a - centre and b - centre; NaN where a value is.
double Cosine(std::span<const float> a, std::span<const float> b, std::span<const double> centre) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t d = 0; d < a.size(); ++d) {
    const double x = a[d] - centre[d];
    const double y = b[d] - centre[d];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa == 0 && bb == 0) return 1;
  return ab / std::sqrt(aa * bb);
}

struct Cosines {
  double least = 1;
  double mean = 0;
};

Cosines CosinesOf(const Vectors& a, const Vectors& b, std::span<const double> centre) {
  Cosines cosines;
  for (size_t i = 0; i < a.size(); ++i) {
    const double cosine = Cosine(a[i], b[i], centre);
    const bool higher = cosine > cosines.least || std::isnan(cosines.least);
    if (!higher) cosines.least = cosine;  // NaN stays
    cosines.mean += cosine / static_cast<double>(a.size());
  }
  return cosines;
}

std::vector<Logits> LogitsOf(const Vectors& vectors, const Heads& heads) {
  std::vector<Logits> logits;
  for (const auto& x : vectors) logits.push_back(heads(x));
  return logits;
}

double SpreadOf(const std::vector<Logits>& logits) {
  double squares = 0;
  for (const Logits& face : logits) {
    for (const auto& levels : face) {
      for (const float level : levels) squares += double{level} * level;  // their mean is 0
    }
  }
  return std::sqrt(squares / static_cast<double>(logits.size() * kStateCount * kLevelCount));
}

size_t BestOf(const std::array<float, kLevelCount>& levels) {
  return static_cast<size_t>(std::ranges::max_element(levels) - levels.begin());
}

double LeadOf(std::array<float, kLevelCount> levels) {
  std::ranges::sort(levels, std::greater<>());
  return levels[0] - levels[1];
}

}  // namespace

Comparison Compare(const Vectors& fp32, const Vectors& other, const Heads& heads, double margin) {
  const Cosines plain = CosinesOf(fp32, other, std::vector<double>(fp32.front().size()));
  const Cosines centred = CosinesOf(fp32, other, MeanOf(fp32));
  const std::vector<Logits> expected = LogitsOf(fp32, heads);
  const std::vector<Logits> found = LogitsOf(other, heads);
  Comparison result{.least_cosine = plain.least,
                    .mean_cosine = plain.mean,
                    .least_centred = centred.least,
                    .mean_centred = centred.mean,
                    .logit_spread = SpreadOf(expected)};
  result.margin = margin * result.logit_spread;
  for (size_t face = 0; face < fp32.size(); ++face) {
    for (size_t state = 0; state < kStateCount; ++state) {
      const auto& levels = expected[face][state];
      const auto& others = found[face][state];
      for (size_t level = 0; level < kLevelCount; ++level) {
        result.largest_logit_error =
            std::max(result.largest_logit_error, std::abs(double{levels[level]} - others[level]));
      }
      const bool clear = LeadOf(levels) >= result.margin;
      const bool flipped = BestOf(levels) != BestOf(others);
      ++result.decisions;
      result.clear += clear ? 1 : 0;
      result.flips += flipped ? 1 : 0;
      result.clear_flips += clear && flipped ? 1 : 0;
    }
  }
  return result;
}

LevelCounts CountLevels(const Vectors& embeddings, const Heads& heads) {
  LevelCounts counts{};
  for (const Logits& face : LogitsOf(embeddings, heads)) {
    for (size_t state = 0; state < kStateCount; ++state) ++counts[state][BestOf(face[state])];
  }
  return counts;
}

}  // namespace emotion::bench

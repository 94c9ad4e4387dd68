#include "bench/near/rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "embedding_service/cache/near_duplicate.h"

namespace emotion::bench {
namespace {

using Values = std::span<const float>;

// Mean luma of each cell of a map of `columns` x `rows`. REQUIRES: at least one pixel per cell.
std::vector<float> LumaMap(const vision::RgbImage& image, int columns, int rows) {
  std::vector<float> sums(static_cast<size_t>(columns * rows));
  std::vector<float> counts(sums.size());
  const uint8_t* pixel = image.pixels.data();
  for (int y = 0; y < image.size.height; ++y) {
    for (int x = 0; x < image.size.width; ++x, pixel += 3) {
      const auto cell = static_cast<size_t>(y * rows / image.size.height * columns +
                                            x * columns / image.size.width);
      sums[cell] += static_cast<float>(77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2]) / 256;
      counts[cell] += 1;
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) sums[i] /= counts[i];
  return sums;
}

std::vector<float> EvenMap(const vision::RgbImage& image) {
  std::vector<float> map = LumaMap(image, 28, 28);
  const float mean = std::accumulate(map.begin(), map.end(), 1.0F) / static_cast<float>(map.size());
  for (float& value : map) value /= mean;
  return map;
}

float MeanLikeness(Values a, Values b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return 1 - sum / static_cast<float>(a.size());
}

std::vector<float> SlopeSigns(const vision::RgbImage& image) {
  const std::vector<float> map = LumaMap(image, 9, 8);
  std::vector<float> signs;
  for (size_t row = 0; row < 8; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      signs.push_back(map[row * 9 + column + 1] > map[row * 9 + column] ? 1 : 0);
    }
  }
  return signs;
}

constexpr int kSsimSide = 112;
constexpr int kWindow = 8;

std::vector<float> FullLuma(const vision::RgbImage& image) {
  return LumaMap(image, kSsimSide, kSsimSide);
}

float WindowSsim(Values a, Values b, size_t corner) {
  float sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t y = 0; y < kWindow; ++y) {
    for (size_t x = 0; x < kWindow; ++x) {
      const float va = a[corner + y * kSsimSide + x];
      const float vb = b[corner + y * kSsimSide + x];
      sum_a += va, sum_b += vb, aa += va * va, bb += vb * vb, ab += va * vb;
    }
  }
  constexpr float kCount = kWindow * kWindow;
  constexpr float kC1 = 6.5025F, kC2 = 58.5225F;  // (0.01 x 255)^2, (0.03 x 255)^2
  const float mean_a = sum_a / kCount, mean_b = sum_b / kCount;
  const float variances = aa / kCount - mean_a * mean_a + bb / kCount - mean_b * mean_b;
  const float covariance = ab / kCount - mean_a * mean_b;
  return (2 * mean_a * mean_b + kC1) * (2 * covariance + kC2) /
         ((mean_a * mean_a + mean_b * mean_b + kC1) * (variances + kC2));
}

float MeanSsim(Values a, Values b) {
  float sum = 0;
  int windows = 0;
  for (size_t y = 0; y + kWindow <= kSsimSide; y += kWindow / 2) {
    for (size_t x = 0; x + kWindow <= kSsimSide; x += kWindow / 2, ++windows) {
      sum += WindowSsim(a, b, y * kSsimSide + x);
    }
  }
  return sum / static_cast<float>(windows);
}

std::vector<float> Embedding(const Sight& sight) {
  double squares = 0;
  for (float value : sight.embedding) squares += double{value} * value;
  std::vector<float> unit(sight.embedding.begin(), sight.embedding.end());
  for (float& value : unit) value = static_cast<float>(value / std::sqrt(squares));
  return unit;
}

float Cosine(Values a, Values b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0F); }

std::vector<float> Answer(const Sight& sight) {
  std::vector<float> values;
  for (const auto& levels : sight.telling.probabilities) {
    values.insert(values.end(), levels.begin(), levels.end());
  }
  return values;
}

float LeastKept(Values a, Values b) {
  float change = 0;
  for (size_t i = 0; i < a.size(); ++i) change = std::max(change, std::abs(a[i] - b[i]));
  return 1 - change;
}

auto Looks(std::vector<float> (*at)(const vision::RgbImage&)) {
  return [at](const Sight& sight) { return at(sight.image); };
}

std::vector<float> OurContrasts(const vision::RgbImage& image) {
  const auto descriptor = embedding::Describe(image);
  return {descriptor.contrasts().begin(), descriptor.contrasts().end()};
}

embedding::FaceDescriptor OurDescriptor(Values values) {
  std::array<int8_t, embedding::FaceDescriptor::kSide * embedding::FaceDescriptor::kSide> cells;
  for (size_t i = 0; i < cells.size(); ++i) cells[i] = static_cast<int8_t>(values[i]);
  return embedding::FaceDescriptor(cells);
}

float OurSimilarity(Values a, Values b) {
  return embedding::Similarity(OurDescriptor(a), OurDescriptor(b));
}

}  // namespace

std::vector<NearRule> RulesToCompare() {
  return {{std::string(embedding::kNearRule), Looks(OurContrasts), OurSimilarity},
          {"mean difference", Looks(EvenMap), MeanLikeness},
          {"dHash", Looks(SlopeSigns), MeanLikeness},
          {"SSIM", Looks(FullLuma), MeanSsim}};
}

std::vector<NearRule> Oracles() {
  return {{"knows the embedding", Embedding, Cosine}, {"knows the answer", Answer, LeastKept}};
}

}  // namespace emotion::bench

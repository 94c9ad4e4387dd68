#include "vision/preprocess/quality.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "vision/preprocess/resize_bicubic.h"

namespace emotion::vision {
namespace {

constexpr int kSide = 112;
constexpr int kPixels = kSide * kSide;

using Luma = std::array<uint8_t, kPixels>;

// Rec. 601 in 8-bit fixed point.
Luma MakeLuma(const RgbImage& image) {
  Luma luma;
  const uint8_t* in = image.pixels.data();
  for (uint8_t& out : luma) {
    out = static_cast<uint8_t>((in[0] * 77 + in[1] * 150 + in[2] * 29) >> 8);
    in += 3;
  }
  return luma;
}

// The running mean and variance of integers.
struct Moments {
  int64_t count = 0;
  int64_t sum = 0;
  int64_t squares = 0;
  void Add(int value) {
    ++count;
    sum += value;
    squares += int64_t{value} * value;
  }
  double Variance() const {
    const double mean = static_cast<double>(sum) / static_cast<double>(count);
    return static_cast<double>(squares) / static_cast<double>(count) - mean * mean;
  }
};

using Histogram = std::array<int, 256>;

Histogram CountLuma(const Luma& luma) {
  Histogram histogram{};
  for (const uint8_t value : luma) ++histogram[value];
  return histogram;
}

// The value at place kPixels * p / 100 (from 0) of all in ascending order.
int Percentile(const Histogram& histogram, int p) {
  int before = 0;
  for (int value = 0; value < 255; ++value) {
    before += histogram[static_cast<size_t>(value)];
    if (before > kPixels * p / 100) return value;
  }
  return 255;
}

double LumaVariance(const Luma& luma) {
  Moments moments;
  for (const uint8_t value : luma) moments.Add(value);
  return moments.Variance();
}

double LaplacianVariance(const Luma& luma) {
  Moments moments;
  for (int y = 1; y < kSide - 1; ++y) {
    for (int x = 1; x < kSide - 1; ++x) {
      const uint8_t* p = &luma[static_cast<size_t>(y) * kSide + x];
      moments.Add(4 * p[0] - p[-1] - p[1] - p[-kSide] - p[kSide]);
    }
  }
  return moments.Variance();
}

bool IsBlurred(const Luma& luma, const QualityThresholds& thresholds) {
  const double variance = LumaVariance(luma);
  return variance < thresholds.flat_variance ||
         LaplacianVariance(luma) < thresholds.blur_ratio * variance;
}

}  // namespace

std::string_view QualityWarningName(QualityWarning warning) {
  constexpr std::array<std::string_view, 7> kNames = {
      "too_dark", "too_bright", "blurred", "too_small", "not_square", "no_face", "multiple_faces"};
  return kNames[static_cast<size_t>(warning)];
}

Quality AssessQuality(ImageSize sent, const RgbImage& image, const QualityThresholds& thresholds) {
  constexpr ImageSize kMeasured{kSide, kSide};
  const Luma luma =
      image.size == kMeasured ? MakeLuma(image) : MakeLuma(ResizeBicubic(image, kMeasured));
  const Histogram histogram = CountLuma(luma);
  const auto percentile = [&](int p) { return Percentile(histogram, p); };

  const auto [shorter, longer] = std::minmax(sent.width, sent.height);
  Quality quality;
  const auto warn_if = [&](bool condition, QualityWarning warning) {
    if (condition) quality.warnings.push_back(warning);
  };
  warn_if(percentile(90) < thresholds.dark_p90, QualityWarning::kTooDark);
  warn_if(percentile(10) > thresholds.bright_p10 || percentile(50) >= thresholds.bright_median,
          QualityWarning::kTooBright);
  warn_if(IsBlurred(luma, thresholds), QualityWarning::kBlurred);
  warn_if(shorter < thresholds.min_side, QualityWarning::kTooSmall);
  warn_if(longer > thresholds.max_aspect * shorter, QualityWarning::kNotSquare);
  return quality;
}

}  // namespace emotion::vision

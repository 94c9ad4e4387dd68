#include "vision/preprocess/resize_bicubic.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emotion::vision {
namespace {

constexpr int kChannels = 3;
// Pillow's fixed point: 32 bits less 8 for the pixel and 2 for the overshoot of the cubic.
constexpr int kPrecisionBits = 22;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);
constexpr double kSupport = 2.0;

double Cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For every output position the input positions it is mixed from, and their weights.
struct Taps {
  int stride = 0;                  // weights per output position; those past count[i] are 0
  std::vector<int> first{};        // [out]
  std::vector<int> count{};        // [out]
  std::vector<int32_t> weights{};  // [out, stride], fixed point
};

int32_t ToFixedPoint(double weight) {
  const double scaled = weight * (1 << kPrecisionBits);
  return static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

// The order of every operation is Pillow's (precompute_coeffs): the last bit hangs on it.
Taps MakeTaps(int in, int out, int stride_multiple) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kSupport * filter_scale;
  const double inverse = 1.0 / filter_scale;
  const int needed = static_cast<int>(std::ceil(support)) * 2 + 1;
  Taps taps{.stride = (needed + stride_multiple - 1) / stride_multiple * stride_multiple};
  taps.weights.resize(static_cast<size_t>(taps.stride) * out);
  std::vector<double> raw(static_cast<size_t>(needed));
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int count = std::min(static_cast<int>(center + support + 0.5), in) - first;
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      raw[k] = Cubic((k + first - center + 0.5) * inverse);
      sum += raw[k];
    }
    int32_t* weights = &taps.weights[static_cast<size_t>(i) * taps.stride];
    for (int k = 0; k < count; ++k) {
      weights[k] = ToFixedPoint(sum != 0 ? raw[k] / sum : raw[k]);
    }
    taps.first.push_back(first);
    taps.count.push_back(count);
  }
  return taps;
}

uint8_t ToPixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// The horizontal pass is a dot product per value. x86's wide multiply-add takes 16-bit numbers, so
// each weight is cut into two: weight = high * 2^14 + low, exactly.
constexpr int kLowBits = 14;
constexpr int kLanes = 8;    // taps are padded to this, so that the loops have no tail
constexpr int kBlock = 512;  // taps whose low sums (255 * 2^14 each) still fit 32 bits

struct SplitWeights {
  std::vector<int16_t> low;
  std::vector<int16_t> high;
};

SplitWeights Split(const std::vector<int32_t>& weights) {
  SplitWeights split;
  split.low.reserve(weights.size());
  split.high.reserve(weights.size());
  for (const int32_t weight : weights) {
    split.low.push_back(static_cast<int16_t>(weight & ((1 << kLowBits) - 1)));
    split.high.push_back(static_cast<int16_t>(weight >> kLowBits));
  }
  return split;
}

// `count` is a multiple of kLanes.
int32_t Dot(const int16_t* values, const int16_t* low, const int16_t* high, int count) {
  int64_t sum = 0;
  for (int begin = 0; begin < count; begin += kBlock) {
    const int end = std::min(begin + kBlock, count);
    int32_t low_sum = 0;
    int32_t high_sum = 0;
    for (int k = begin; k < end; ++k) {
      low_sum += values[k] * low[k];
      high_sum += values[k] * high[k];
    }
    sum += int64_t{high_sum} * (1 << kLowBits) + low_sum;
  }
  return static_cast<int32_t>(sum);
}

// One row as three rows of 16-bit numbers, `plane_size` apart.
void SplitChannels(const uint8_t* row, int width, size_t plane_size, int16_t* planes) {
  for (int x = 0; x < width; ++x) {
    for (int c = 0; c < kChannels; ++c) planes[c * plane_size + x] = row[x * kChannels + c];
  }
}

RgbImage ResizeWidth(const RgbImage& image, int new_width) {
  const auto [width, height] = image.size;
  const Taps taps = MakeTaps(width, new_width, kLanes);
  const SplitWeights weights = Split(taps.weights);
  // Padding taps read up to one stride past the row; their weight is 0.
  const size_t plane_size = static_cast<size_t>(width) + taps.stride;
  std::vector<int16_t> planes(plane_size * kChannels);
  RgbImage result{{new_width, height}, {}};
  result.pixels.resize(static_cast<size_t>(new_width) * height * kChannels);
  uint8_t* out = result.pixels.data();
  for (int y = 0; y < height; ++y) {
    SplitChannels(&image.pixels[static_cast<size_t>(y) * width * kChannels], width, plane_size,
                  planes.data());
    for (int x = 0; x < new_width; ++x) {
      const size_t at = static_cast<size_t>(x) * taps.stride;
      for (int c = 0; c < kChannels; ++c) {
        const int16_t* values = &planes[c * plane_size + taps.first[x]];
        *out++ = ToPixel(kHalf + Dot(values, &weights.low[at], &weights.high[at], taps.stride));
      }
    }
  }
  return result;
}

void AddScaledRow(const uint8_t* row, int32_t weight, size_t values, int32_t* sums) {
  for (size_t i = 0; i < values; ++i) sums[i] += row[i] * weight;
}

RgbImage ResizeHeight(const RgbImage& image, int new_height) {
  const auto [width, height] = image.size;
  const Taps taps = MakeTaps(height, new_height, 1);
  const size_t row_values = static_cast<size_t>(width) * kChannels;
  std::vector<int32_t> sums(row_values);
  RgbImage result{{width, new_height}, {}};
  result.pixels.resize(row_values * new_height);
  for (int y = 0; y < new_height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const int32_t* weights = &taps.weights[static_cast<size_t>(y) * taps.stride];
    for (int k = 0; k < taps.count[y]; ++k) {
      AddScaledRow(&image.pixels[static_cast<size_t>(taps.first[y] + k) * row_values], weights[k],
                   row_values, sums.data());
    }
    std::transform(sums.begin(), sums.end(), &result.pixels[y * row_values], ToPixel);
  }
  return result;
}

// Pillow's rule for the order of the passes, on which the last bit hangs.
bool ShrinksMostlyInHeight(ImageSize from, ImageSize to) {
  const int64_t rows_less = int64_t{from.height} - to.height;
  const int64_t columns_less = int64_t{from.width} - to.width;
  return rows_less > 0 && rows_less > 2 * columns_less;
}

}  // namespace

RgbImage ResizeBicubic(RgbImage image, ImageSize target) {
  assert(std::min(target.width, target.height) > 0);
  assert(image.pixels.size() ==
         static_cast<size_t>(image.size.width) * image.size.height * kChannels);
  const bool height_first = ShrinksMostlyInHeight(image.size, target);
  if (height_first) image = ResizeHeight(image, target.height);
  if (target.width != image.size.width) image = ResizeWidth(image, target.width);
  if (target.height != image.size.height) image = ResizeHeight(image, target.height);
  return image;
}

}  // namespace emotion::vision

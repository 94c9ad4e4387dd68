#include "embedding_service/cache/near_duplicate.h"

#include <algorithm>
#include <cmath>

#include "embedding_service/cache/face_blocks.h"

namespace emotion::embedding {
namespace {

constexpr int kSide = FaceDescriptor::kSide;
using Cells = std::array<float, kSide * kSide>;

size_t At(int row, int column) { return static_cast<size_t>(row * kSide + column); }

// The pixels of cell `index` out of kSide along a side; never none, so that tiny pictures do.
struct Run {
  int begin;
  int end;
};
Run CellPixels(int index, int side) {
  const int begin = static_cast<int>(int64_t{index} * side / kSide);
  const int end = static_cast<int>(int64_t{index + 1} * side / kSide);
  return {begin, std::max(end, begin + 1)};
}

// Mean luma of each cell, 0 to 255.
Cells LumaCells(const vision::RgbImage& image) {
  const int width = image.size.width;
  const int height = image.size.height;
  Cells cells{};
  for (int row = 0; row < kSide; ++row) {
    const Run ys = CellPixels(row, height);
    for (int column = 0; column < kSide; ++column) {
      const Run xs = CellPixels(column, width);
      uint64_t sum = 0;
      for (int y = ys.begin; y < ys.end; ++y) {
        const uint8_t* pixel =
            image.pixels.data() +
            (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(xs.begin)) *
                3;
        for (int x = xs.begin; x < xs.end; ++x, pixel += 3) {
          sum += 77U * pixel[0] + 150U * pixel[1] + 29U * pixel[2];
        }
      }
      const int pixels = (ys.end - ys.begin) * (xs.end - xs.begin);
      cells[At(row, column)] = static_cast<float>(sum) / (256.0F * static_cast<float>(pixels));
    }
  }
  return cells;
}

// The mean of the cells within kRadius of each along a row; at the ends of those that there are.
constexpr int kRadius = 9;
Cells BlurRowsAndTranspose(const Cells& cells) {
  Cells blurred;
  for (int row = 0; row < kSide; ++row) {
    float sum = 0;
    int count = 0;
    for (int column = -kRadius; column < kSide; ++column) {
      if (column + kRadius < kSide) {
        sum += cells[At(row, column + kRadius)];
        ++count;
      }
      if (column - kRadius > 0) {
        sum -= cells[At(row, column - kRadius - 1)];
        --count;
      }
      if (column >= 0) blurred[At(column, row)] = sum / static_cast<float>(count);
    }
  }
  return blurred;
}

bool HoldsItsPixels(const vision::RgbImage& image) {
  return image.size.width > 0 && image.size.height > 0 &&
         image.pixels.size() >=
             static_cast<size_t>(image.size.width) * static_cast<size_t>(image.size.height) * 3;
}

}  // namespace

bool IsFleeting(int64_t encoded_us, int64_t unlike_us) {
  return encoded_us < unlike_us &&
         encoded_us > unlike_us - std::chrono::microseconds(kNearFleeting).count();
}

FaceDescriptor Describe(const vision::RgbImage& face) {
  if (!HoldsItsPixels(face)) return FaceDescriptor();
  const Cells luma = LumaCells(face);
  const Cells around = BlurRowsAndTranspose(BlurRowsAndTranspose(luma));
  // Against black the light around a cell would say everything and the sensor's noise most of it.
  constexpr float kDark = 8;
  constexpr float kUnit = 48;
  std::array<int8_t, kSide * kSide> contrasts;
  for (size_t i = 0; i < contrasts.size(); ++i) {
    const float contrast = kUnit * (luma[i] - around[i]) / (around[i] + kDark);
    contrasts[i] = static_cast<int8_t>(std::lround(std::clamp(contrast, -127.0F, 127.0F)));
  }
  return FaceDescriptor(contrasts);
}

float Similarity(const FaceDescriptor& a, const FaceDescriptor& b) {
  return SimilarityOf(BlocksOf(a), BlocksOf(b));
}

}  // namespace emotion::embedding

#include "embedding_service/cache/face_blocks.h"

#include <algorithm>
#include <numeric>

namespace emotion::embedding {
namespace {

constexpr int kSide = FaceDescriptor::kSide;
constexpr int kBlockSide = 4;
constexpr int kLeft = (kSide - kBlockColumns * kBlockSide) / 2;
constexpr int kTop = (kSide - kBlockRows * kBlockSide) / 2;

float Dot(const BlockVector& a, const BlockVector& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

FaceBlock CutBlock(const FaceDescriptor& descriptor, int top, int left) {
  const auto cell = [&](int row, int column) {
    return static_cast<float>(descriptor.contrasts()[static_cast<size_t>(row * kSide + column)]);
  };
  FaceBlock block;
  size_t i = 0;
  for (int row = top; row < top + kBlockSide; ++row) {
    for (int column = left; column < left + kBlockSide; ++column, ++i) {
      block.contrast[i] = cell(row, column);
      block.slope_x[i] = (cell(row, column + 1) - cell(row, column - 1)) / 2;
      block.slope_y[i] = (cell(row + 1, column) - cell(row - 1, column)) / 2;
    }
  }
  return block;
}

// What two pictures of one block differ by, and how that would change as one is shifted.
struct Pair {
  BlockVector difference;
  BlockVector slope_x;  // mean of both
  BlockVector slope_y;
};

Pair PairOf(const FaceBlock& a, const FaceBlock& b) {
  Pair pair;
  for (size_t i = 0; i < kBlockCells; ++i) {
    pair.difference[i] = a.contrast[i] - b.contrast[i];
    pair.slope_x[i] = (a.slope_x[i] + b.slope_x[i]) / 2;
    pair.slope_y[i] = (a.slope_y[i] + b.slope_y[i]) / 2;
  }
  return pair;
}

struct Shift {
  float x;  // cells
  float y;
};

// The one shift of all blocks that explains most of their differences.
Shift BestShift(const std::array<Pair, kBlocks>& pairs) {
  // Of a picture without slopes nothing can be aligned.
  constexpr float kRegular = 100;
  float xx = kRegular, yy = kRegular, xy = 0, dx = 0, dy = 0;
  for (const Pair& pair : pairs) {
    xx += Dot(pair.slope_x, pair.slope_x);
    yy += Dot(pair.slope_y, pair.slope_y);
    xy += Dot(pair.slope_x, pair.slope_y);
    dx += Dot(pair.difference, pair.slope_x);
    dy += Dot(pair.difference, pair.slope_y);
  }
  const float determinant = xx * yy - xy * xy;
  // First-order: beyond a cell the slopes say nothing any more.
  constexpr float kFar = 1;
  return {std::clamp((dx * yy - dy * xy) / determinant, -kFar, kFar),
          std::clamp((dy * xx - dx * xy) / determinant, -kFar, kFar)};
}

// What the shift leaves of a block's difference, in units of what noise and the imperfection of any
// alignment (which grows with the slopes) would leave.
float Unexplained(const Pair& pair, Shift shift) {
  constexpr float kNoise = 10;
  constexpr float kMisalignment = 0.1F;
  float left = 0, slopes = 0;
  for (size_t i = 0; i < kBlockCells; ++i) {
    const float rest = pair.difference[i] - shift.x * pair.slope_x[i] - shift.y * pair.slope_y[i];
    left += rest * rest;
    slopes += pair.slope_x[i] * pair.slope_x[i] + pair.slope_y[i] * pair.slope_y[i];
  }
  return left / (kNoise + kMisalignment * slopes);
}

}  // namespace

FaceBlocks BlocksOf(const FaceDescriptor& descriptor) {
  FaceBlocks blocks;
  for (int row = 0; row < kBlockRows; ++row) {
    for (int column = 0; column < kBlockColumns; ++column) {
      blocks[static_cast<size_t>(row * kBlockColumns + column)] =
          CutBlock(descriptor, kTop + row * kBlockSide, kLeft + column * kBlockSide);
    }
  }
  return blocks;
}

float SimilarityOf(const FaceBlocks& a, const FaceBlocks& b) {
  std::array<Pair, kBlocks> pairs;
  for (size_t i = 0; i < kBlocks; ++i) pairs[i] = PairOf(a[i], b[i]);
  const Shift shift = BestShift(pairs);
  float worst = 0;
  for (const Pair& pair : pairs) worst = std::max(worst, Unexplained(pair, shift));
  // The amount that measurement chose; the scale has 0.95 there.
  constexpr float kChosen = 3;
  return 1 / (1 + worst / (19 * kChosen));
}

}  // namespace emotion::embedding

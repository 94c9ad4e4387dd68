#include "vision/encoder/onednn/turn.h"

#include <bit>
#include <cmath>
#include <cstddef>

#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {
namespace {

// The reflection that mixes `blocks` stretches of `stretch` values each: x - 2 mean, of those that
// stand at one place.
void Reflect(float* x, size_t blocks, size_t stretch) {
  if (blocks == 1) return;
  const float twice = 2.0F / static_cast<float>(blocks);
  for (size_t i = 0; i < stretch; ++i) {
    float sum = 0;
    for (size_t b = 0; b < blocks; ++b) sum += x[b * stretch + i];
    for (size_t b = 0; b < blocks; ++b) x[b * stretch + i] -= twice * sum;
  }
}

size_t BlockOf(size_t n) { return size_t{1} << std::countr_zero(n); }

}  // namespace

void Turn(std::span<float> x) {
  const size_t block = BlockOf(x.size());
  TurnBlocks(x, static_cast<int64_t>(block));
  Reflect(x.data(), x.size() / block, block);
}

void TurnRows(std::span<float> rows, int64_t width) {
  const auto n = static_cast<size_t>(width);
  for (size_t at = 0; at < rows.size(); at += n) Turn(rows.subspan(at, n));
}

// All columns at once: whole rows are added and subtracted.
void TurnColumns(std::span<float> matrix, int64_t rows) {
  const auto n = static_cast<size_t>(rows);
  const size_t width = matrix.size() / n;
  const size_t block = BlockOf(n);
  for (size_t half = 1; half < block; half *= 2) {
    for (size_t row = 0; row < n; row += 2 * half) {
      float* low = matrix.data() + row * width;
      float* high = low + half * width;
      for (size_t i = 0; i < half * width; ++i) {
        const float a = low[i];
        const float b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
  }
  const float normal = 1.0F / std::sqrt(static_cast<float>(block));
  for (float& value : matrix) value *= normal;
  Reflect(matrix.data(), n / block, block * width);
}

void TurnBlocks(std::span<float> x, int64_t block) {
  UsableKernels().front()->turn_blocks(x.data(), static_cast<int64_t>(x.size()), block);
  const float normal = 1.0F / std::sqrt(static_cast<float>(block));
  for (float& value : x) value *= normal;
}

}  // namespace emotion::vision

#include "vision/encoder/onednn/quantised_weights.h"

#include <algorithm>
#include <cstddef>

#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/turn.h"

namespace emotion::vision {
namespace {

// The most that a quad of bytes may add up to is 163; rounding adds at most half to each of four.
constexpr float kQuadMost = 161;

// What becomes 127. NaN where a weight is not finite.
float RangeOfRow(const std::vector<float>& row, ByteProducts products) {
  const Kernels& kernels = *UsableKernels().front();
  const auto count = static_cast<int64_t>(row.size());
  const float largest = kernels.largest_weight(row.data(), count);
  if (products == ByteProducts::kExact) return largest;
  const float by_quads = kernels.largest_quad(row.data(), count) * (127.0F / kQuadMost);
  return by_quads > largest ? by_quads : largest;  // NaN stays
}

}  // namespace

QuantisedWeights QuantiseWeights(const float* weight, int64_t out, int64_t in, int64_t block,
                                 ByteProducts products) {
  const auto rows = static_cast<size_t>(out);
  const auto width = static_cast<size_t>(in);
  QuantisedWeights quantised{
      .bytes = AlignedBuffer(rows * width), .scales = std::vector<float>(rows), .offsets = {}};
  quantised.offsets.resize(rows);
  const Kernels& kernels = *UsableKernels().front();
  const int32_t zero = RangeOf(products).zero;
  std::vector<float> row(width);
  for (size_t o = 0; o < rows; ++o) {
    std::copy_n(weight + o * width, width, row.begin());
    if (block > 1) TurnBlocks(row, block);
    const float range = RangeOfRow(row, products);
    const float steps = range > 1e-30F ? 127.0F / range : 0.0F;  // 0: of zeros, or NaN
    if (steps == 0) std::ranges::fill(row, 0.0F);
    quantised.scales[o] = range / 127.0F;
    quantised.offsets[o] = zero * kernels.round_weights(row.data(), in, steps,
                                                        quantised.bytes.as<int8_t>() + o * width);
  }
  return quantised;
}

}  // namespace emotion::vision

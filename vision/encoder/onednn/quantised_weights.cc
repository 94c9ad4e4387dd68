#include "vision/encoder/onednn/quantised_weights.h"

#include <algorithm>
#include <cstddef>

#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/turn.h"

namespace emotion::vision {
QuantisedWeights QuantiseWeights(const float* weight, int64_t out, int64_t in, int64_t block,
                                 ByteProducts products) {
  const auto rows = static_cast<size_t>(out);
  const auto width = static_cast<size_t>(in);
  QuantisedWeights quantised{
      .bytes = AlignedBuffer(rows * width), .scales = std::vector<float>(rows), .offsets = {}};
  quantised.offsets.resize(rows);
  const Kernels& kernels = *UsableKernels().front();
  const bool pairs = products == ByteProducts::kSaturatingPairs;
  std::vector<float> row(width);
  for (size_t o = 0; o < rows; ++o) {
    std::copy_n(weight + o * width, width, row.begin());
    if (block > 1) TurnBlocks(row, block);
    // At 127 no byte passes 127 and no pair 128: rounding adds at most 1 to a pair.
    const float range = kernels.weight_range(row.data(), in, pairs);
    const float steps = range > 1e-30F ? 127.0F / range : 0.0F;  // 0: of zeros, or NaN
    if (steps == 0) std::ranges::fill(row, 0.0F);
    quantised.scales[o] = range / 127.0F;
    quantised.offsets[o] = 128 * kernels.round_weights(row.data(), in, steps,
                                                       quantised.bytes.as<int8_t>() + o * width);
  }
  return quantised;
}

}  // namespace emotion::vision

// A matrix of weights as signed bytes, one scale for each row.
#pragma once

#include <cstdint>
#include <vector>

#include "vision/encoder/onednn/aligned_buffer.h"

namespace emotion::vision {

// What a product of unsigned by signed bytes can take without an error.
enum class ByteProducts {
  kExact,  // AVX-512 VNNI: sums of four products in 32 bits
  // AVX2 and AVX-512 without VNNI: sums of two neighbouring products saturate at 16 bits. They
  // never do while the positive weights of a pair add up to at most 128, and the negative ones.
  kSaturatingPairs,
};

// What oneDNN's kernels do on this CPU.
ByteProducts ByteProductsHere();

struct QuantisedWeights {
  AlignedBuffer bytes;           // [out, in] int8, row-major
  std::vector<float> scales;     // [out]: weight = byte * scale; NaN for a row that is not finite
  std::vector<int32_t> offsets;  // [out]: 128 * the sum of a row's bytes, what x's zero adds
};

// weight: [out, in]. Each row is first turned in blocks of `block` values, see turn.h.
QuantisedWeights QuantiseWeights(const float* weight, int64_t out, int64_t in, int64_t block,
                                 ByteProducts products);

}  // namespace emotion::vision

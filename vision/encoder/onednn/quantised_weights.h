// A matrix of weights as signed bytes, one scale for each row.
#pragma once

#include <cstdint>
#include <vector>

#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {

// How products of unsigned by signed bytes are summed, and what they may be for that.
enum class ByteProducts {
  // AVX-512 VNNI: four products in 32 bits. Weights to +-127, values around 128.
  kExact,
  // Elsewhere: four products in 16 bits (multiply_bytes in kernels.h), half as many instructions
  // as if each pair were widened. They never saturate while values are at most 200 and the
  // positive weights of a quad, and its negative ones, add up to at most 163.
  kQuads,
};

// What is used on this CPU.
ByteProducts ByteProductsHere();

// What values enter such products as.
constexpr ByteRange RangeOf(ByteProducts products) {
  return products == ByteProducts::kExact ? ByteRange{.zero = 128, .most = 127}
                                          : ByteRange{.zero = 100, .most = 100};
}

struct QuantisedWeights {
  AlignedBuffer bytes;           // [out, in] int8, row-major
  std::vector<float> scales;     // [out]: weight = byte * scale; NaN for a row that is not finite
  std::vector<int32_t> offsets;  // [out]: x's zero * the sum of a row's bytes
};

// weight: [out, in]. Each row is first turned in blocks of `block` values, see turn.h.
QuantisedWeights QuantiseWeights(const float* weight, int64_t out, int64_t in, int64_t block,
                                 ByteProducts products);

}  // namespace emotion::vision

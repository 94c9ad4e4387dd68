// Some rows and some outputs of a product, from their sums to their results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"

namespace emotion::vision {

struct ProductPart {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t column = 0;  // of the outputs
  int64_t width = 0;
};

// Where value `index` of an array of `element` stands. The array may be const: whoever writes knows
// that it is not.
inline void* ValueAt(const void* base, Element element, int64_t index) {
  const auto bytes = index * static_cast<int64_t>(BytesOf(element));
  return const_cast<std::byte*>(static_cast<const std::byte*>(base) + bytes);
}

// Finishes sums, `sums_stride` from row to row. x, y and other: of the whole product, in what its
// kernel takes and gives (packed.kernel).
void FinishPart(const PackedLinear::Packed& packed, const ProductPart& part, const void* sums,
                int64_t sums_stride, const ProductInput& x, void* y, const void* other);

}  // namespace emotion::vision

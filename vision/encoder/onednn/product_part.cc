#include "vision/encoder/onednn/product_part.h"

#include "vision/encoder/onednn/linear_desc.h"

namespace emotion::vision {

void FinishPart(const PackedLinear::Packed& packed, const ProductPart& part, const void* sums,
                int64_t sums_stride, const ProductInput& x, void* y, const void* other) {
  const LinearSpec& spec = packed.kernel;
  const bool bytes = spec.element == Element::kInt8;
  const int64_t at = part.row * spec.out + part.column;
  UsableKernels().front()->finish(
      {.sums = sums,
       .sums_stride = sums_stride,
       .rows = part.rows,
       .width = part.width,
       .row_scales = bytes ? x.scales + part.row : nullptr,
       .column_scales = bytes ? packed.column_scales.data() + part.column : nullptr,
       .offsets = bytes ? packed.offsets.data() + part.column : nullptr,
       .bias = packed.bias.data() + part.column,
       .epilogue = spec.epilogue,
       .other = other == nullptr ? nullptr : ValueAt(other, spec.result, at),
       .result = spec.result,
       .y = ValueAt(y, spec.result, at),
       .stride = spec.out});
}

}  // namespace emotion::vision

// Weights in panels of 16 outputs (kernels.h), and products with them.
#pragma once

#include <cstdint>

#include "common/sync/team.h"
#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"

namespace emotion::vision {

// weight: [out, in] row-major. Outputs are filled up to whole panels with zeros.
AlignedBuffer PackPanels(const float* weight, int64_t out, int64_t in);
AlignedBuffer PackPanels(const int8_t* weight, int64_t out, int64_t in);

// As Products::Run, with x of floats or of bytes. Allocates nothing.
void MultiplyPanels(const PackedLinear::Packed& packed, int64_t rows, Team& team,
                    const ProductInput& x, void* y, const void* other);

}  // namespace emotion::vision

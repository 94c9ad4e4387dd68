// A product in oneDNN's terms, and what is packed; for packed_linear.cc and the products only.
// Knows that oneDNN comes in versions 2 and 3. What is called here may throw dnnl::error.
#pragma once

#include <cstdint>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "absl/status/status.h"
#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/packed_linear.h"

namespace emotion::vision {

dnnl::engine& Cpu();

dnnl::memory::data_type WeightType(Element element);  // kInt8: signed bytes

// Of x, weights (in the layout that oneDNN prefers) and the sums: floats, of bytes int32.
struct LinearDescs {
  dnnl::memory::desc x;
  dnnl::memory::desc weights;
  dnnl::memory::desc sums;
};

// Of `width` outputs. The sums stand close together: for others (strides over all outputs, say)
// oneDNN 2.6 has no kernel that reads packed weights.
LinearDescs DescsOf(const LinearSpec& spec, int64_t rows, int64_t width);

dnnl::matmul::primitive_desc MatmulOf(const LinearDescs& descs);

// RESOURCE_EXHAUSTED without memory, INVALID_ARGUMENT for what this CPU does not do, else INTERNAL.
absl::Status StatusOf(const dnnl::error& error, const LinearSpec& spec);

struct PackedLinear::Packed {
  // Some outputs, computed by one thread.
  struct Piece {
    int64_t begin = 0;
    int64_t width = 0;
    dnnl::memory weights;
  };

  LinearSpec spec;
  LinearSpec kernel;          // what oneDNN or the panels compute of it
  AlignedBuffer weights;      // all pieces, or panels
  std::vector<Piece> pieces;  // empty: in panels
  std::vector<float> bias;    // [out], of zeros where there is none

  // kInt8 only.
  std::vector<float> column_scales;
  std::vector<int32_t> offsets;
};

}  // namespace emotion::vision

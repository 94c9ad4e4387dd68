// A product in oneDNN's terms; for packed_linear.cc and products.cc only. Knows that oneDNN comes
// in versions 2 and 3. What is called here may throw dnnl::error.
#pragma once

#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "absl/status/status.h"
#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/packed_linear.h"

namespace emotion::vision {

// A product has two forms in oneDNN. Where matmul wants weights in a packed layout it is the form
// to take; where it takes them as they are (without AVX-512) it copies them anew at every call, and
// a convolution of 1 x 1, whose kernels all read packed weights, is faster.
enum class Form { kMatmul, kConvolution };

dnnl::engine& Cpu();

dnnl::memory::data_type WeightType(Element element);  // kInt8: signed bytes

// Of x, weights (in the layout that oneDNN prefers), bias, y and what y is multiplied with.
struct LinearDescs {
  dnnl::memory::desc x;
  dnnl::memory::desc weights;
  dnnl::memory::desc bias;
  dnnl::memory::desc y;
  dnnl::memory::desc other;
};

LinearDescs DescsOf(Form form, const LinearSpec& spec, int64_t rows);

dnnl::matmul::primitive_desc MatmulOf(const LinearSpec& spec, const LinearDescs& descs, bool bias);

dnnl::convolution_forward::primitive_desc ConvolutionOf(const LinearSpec& spec,
                                                        const LinearDescs& descs, bool bias);

// RESOURCE_EXHAUSTED without memory, INVALID_ARGUMENT for what this CPU does not do, else INTERNAL.
absl::Status StatusOf(const dnnl::error& error, const LinearSpec& spec);

struct PackedLinear::Packed {
  LinearSpec spec;
  LinearSpec kernel;  // what oneDNN computes of it
  Form form = Form::kMatmul;
  AlignedBuffer weight_memory;
  AlignedBuffer bias_memory;
  dnnl::memory weights;
  dnnl::memory bias;  // empty: none

  // kInt8 only.
  std::vector<float> column_scales;
  std::vector<int32_t> offsets;
  std::vector<float> plain_bias;  // of zeros where there is none
};

}  // namespace emotion::vision

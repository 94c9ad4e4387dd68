// Tensors of a .pth file as float32.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "heads/pth/pickle_value.h"
#include "heads/pth/pth_file.h"

namespace emotion::heads::pth {

inline constexpr int64_t kMaxTensorElements = 64LL << 20;

struct Tensor {
  std::vector<int64_t> shape;  // empty: a scalar
  std::vector<float> values;   // row-major, without gaps
};

// The number of elements; INVALID_ARGUMENT where it is over kMaxTensorElements.
absl::StatusOr<int64_t> ElementCount(const std::vector<int64_t>& shape);

// Follows offset and strides (views and transposed tensors occur), which are checked against the
// record first. Takes float64, float32, float16, bfloat16, integers and bools; float64 is rounded.
// INVALID_ARGUMENT where `node` is no tensor, has another dtype, or lies outside of its storage.
absl::StatusOr<Tensor> ReadTensor(PthFile& file, const Node& node);

// A tensor of one element, unrounded.
absl::StatusOr<double> ReadScalarTensor(PthFile& file, const Node& node);

}  // namespace emotion::heads::pth

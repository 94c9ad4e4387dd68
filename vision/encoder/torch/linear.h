// Matrix products of the tower, by the fastest kernel that the LibTorch at hand has for them.
//
// LibTorch without MKL (Debian's) hands single-precision products to whatever BLAS is installed,
// and Debian's default one reaches 1 % of the machine; its batched products are no better. Its
// oneDNN is near the peak but only reachable through convolutions, so there a product is written as
// a 1 x 1 convolution. All of it is differentiable. Include only where LibTorch is at home.
#pragma once

#include <ATen/core/Tensor.h>

namespace emotion::vision {

// x W^T + b over the last dimension: x [rows, in], weight [out, in], bias [out] or undefined.
at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// a b^T for each batch: a [batch, m, k], b [batch, n, k] -> [batch, m, n].
at::Tensor MatmulTransposed(const at::Tensor& a, const at::Tensor& b);

}  // namespace emotion::vision

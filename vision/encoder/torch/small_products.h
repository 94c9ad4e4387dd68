// Many small matrix products at once, for attention over a face's few patches.
//
// LibTorch without MKL has no fast kernel for these: a call to oneDNN costs more than such a
// product does, and its grouped convolution is slow with few channels. A plain loop that the
// compiler vectorises is ten times faster. Include only where LibTorch is at home.
#pragma once

#include <ATen/core/Tensor.h>

namespace emotion::vision {

// a b^T for each batch: a [batch, m, k], b [batch, n, k], float32 on the CPU -> [batch, m, n].
// Differentiable.
at::Tensor SmallProducts(const at::Tensor& a, const at::Tensor& b);

}  // namespace emotion::vision

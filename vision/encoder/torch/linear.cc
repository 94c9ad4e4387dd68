#include "vision/encoder/torch/linear.h"

#include <vector>

#include <ATen/Context.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>

namespace emotion::vision {
namespace {

// LibTorch sends a convolution to oneDNN only when the input has more values than this.
constexpr int64_t kOneDnnValues = 20480;

bool ByConvolution(const at::Tensor& x) {
  static const bool slow_blas = !at::hasMKL() && at::globalContext().hasMKLDNN();
  return slow_blas && x.device().is_cpu() && x.scalar_type() == at::kFloat;
}

// [rows, channels] as an image of one column, channels last: no copy.
at::Tensor AsImage(const at::Tensor& x) {
  return x.reshape({1, x.size(0), 1, x.size(1)}).permute({0, 3, 1, 2});
}

// x [rows, groups * in], weight [groups * out, in] -> [rows, groups * out].
at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                    int64_t groups) {
  const auto kernel = weight.reshape({weight.size(0), weight.size(1), 1, 1});
  const int64_t stride[] = {1, 1};
  const int64_t padding[] = {0, 0};
  // A dilation means nothing to a kernel of one, but without it LibTorch keeps such a kernel from
  // oneDNN where it has one thread.
  const int64_t dilation[] = {1, 2};
  return at::conv2d(AsImage(x), kernel, bias, stride, at::IntArrayRef(padding), dilation, groups)
      .permute({0, 2, 3, 1})
      .reshape({x.size(0), weight.size(0)});
}

// All batches in one call, as groups of one convolution: small products are not worth a call each.
at::Tensor MatmulByGroups(const at::Tensor& a, const at::Tensor& b) {
  const int64_t batch = a.size(0), m = a.size(1), k = a.size(2), n = b.size(1);
  const auto rows = a.permute({1, 0, 2}).reshape({m, batch * k});
  return Convolve(rows, b.reshape({batch * n, k}), {}, batch)
      .reshape({m, batch, n})
      .permute({1, 0, 2});
}

at::Tensor MatmulOneByOne(const at::Tensor& a, const at::Tensor& b) {
  std::vector<at::Tensor> products;
  for (int64_t i = 0; i < a.size(0); ++i) {
    products.push_back(Convolve(a[i], b[i], {}, 1));
  }
  return at::stack(products);
}

}  // namespace

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (ByConvolution(x)) return Convolve(x, weight, bias, 1);
  return at::linear(x, weight, bias);
}

at::Tensor MatmulTransposed(const at::Tensor& a, const at::Tensor& b) {
  if (!ByConvolution(a)) return at::bmm(a, b.transpose(1, 2));
  return a.size(1) * a.size(2) > kOneDnnValues ? MatmulOneByOne(a, b) : MatmulByGroups(a, b);
}

}  // namespace emotion::vision

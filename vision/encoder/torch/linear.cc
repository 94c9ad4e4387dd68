#include "vision/encoder/torch/linear.h"

#include <vector>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "vision/encoder/torch/small_products.h"

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

// x [rows, in], weight [out, in] -> [rows, out].
at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto kernel = weight.reshape({weight.size(0), weight.size(1), 1, 1});
  const int64_t stride[] = {1, 1};
  const int64_t padding[] = {0, 0};
  // A dilation means nothing to a kernel of one, but without it LibTorch keeps such a kernel from
  // oneDNN where it has one thread.
  const int64_t dilation[] = {1, 2};
  return at::conv2d(AsImage(x), kernel, bias, stride, at::IntArrayRef(padding), dilation)
      .permute({0, 2, 3, 1})
      .reshape({x.size(0), weight.size(0)});
}

// LibTorch's own gradient of such a convolution has a third of its speed: it sums over one column
// of pixels. Both gradients are products too, so they go the same way.
struct DifferentiableLinear : torch::autograd::Function<DifferentiableLinear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    context->saved_data["x"] = x.requires_grad();
    return Convolve(x, weight, {});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& outer = gradients[0];
    at::Tensor to_x;
    if (context->saved_data["x"].toBool()) to_x = Convolve(outer, saved[1].t().contiguous(), {});
    return {to_x, Convolve(outer.t(), saved[0].t().contiguous(), {})};
  }
};

bool NeedsGradient(const at::Tensor& x, const at::Tensor& weight) {
  return c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
}

at::Tensor MatmulOneByOne(const at::Tensor& a, const at::Tensor& b) {
  std::vector<at::Tensor> products;
  for (int64_t i = 0; i < a.size(0); ++i) {
    products.push_back(Convolve(a[i], b[i], {}));
  }
  return at::stack(products);
}

}  // namespace

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!ByConvolution(x)) return at::linear(x, weight, bias);
  if (!NeedsGradient(x, weight)) return Convolve(x, weight, bias);
  const at::Tensor product = DifferentiableLinear::apply(x, weight);
  return bias.defined() ? product + bias : product;
}

at::Tensor MatmulTransposed(const at::Tensor& a, const at::Tensor& b) {
  if (!ByConvolution(a)) return at::bmm(a, b.transpose(1, 2));
  return a.size(1) * a.size(2) > kOneDnnValues ? MatmulOneByOne(a, b) : SmallProducts(a, b);
}

}  // namespace emotion::vision

#include "heads/gemv.h"

#include <cstring>

namespace emotion::heads {
namespace {

#define EMOTION_INLINE inline __attribute__((always_inline))

// Eight partial sums side by side. The compiler turns each operation into one AVX or two SSE
// instructions with the same result; no fused multiply-add (see CMakeLists.txt), which would round
// differently from one processor to the next.
constexpr size_t kLanes = 8;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

// Rows that share the loads of x, and independent sums per row to hide the adder's latency.
constexpr size_t kRows = 4;

template <size_t rows>
EMOTION_INLINE void Dot(const float* weight, size_t stride, const float* x, size_t inputs,
                        float* sums) {
  Lanes even[rows] = {};
  Lanes odd[rows] = {};
  size_t i = 0;
  for (; i + 2 * kLanes <= inputs; i += 2 * kLanes) {
    Lanes x0, x1;
    std::memcpy(&x0, x + i, sizeof(Lanes));
    std::memcpy(&x1, x + i + kLanes, sizeof(Lanes));
    for (size_t row = 0; row < rows; ++row) {
      Lanes w0, w1;
      std::memcpy(&w0, weight + row * stride + i, sizeof(Lanes));
      std::memcpy(&w1, weight + row * stride + i + kLanes, sizeof(Lanes));
      even[row] += w0 * x0;
      odd[row] += w1 * x1;
    }
  }
  for (size_t row = 0; row < rows; ++row) {
    const Lanes all = even[row] + odd[row];
    float sum = ((all[0] + all[4]) + (all[1] + all[5])) + ((all[2] + all[6]) + (all[3] + all[7]));
    for (size_t tail = i; tail < inputs; ++tail) sum += weight[row * stride + tail] * x[tail];
    sums[row] = sum;
  }
}

EMOTION_INLINE void GemvBody(const float* weight, const float* bias, const float* x, float* y,
                             size_t outputs, size_t inputs) {
  size_t row = 0;
  for (; row + kRows <= outputs; row += kRows) {
    Dot<kRows>(weight + row * inputs, inputs, x, inputs, y + row);
  }
  for (; row < outputs; ++row) Dot<1>(weight + row * inputs, inputs, x, inputs, y + row);
  for (size_t i = 0; i < outputs; ++i) y[i] += bias[i];
}

void GemvBaseline(const float* weight, const float* bias, const float* x, float* y, size_t outputs,
                  size_t inputs) {
  GemvBody(weight, bias, x, y, outputs, inputs);
}

using GemvFunction = decltype(&GemvBaseline);

#if defined(__x86_64__)
__attribute__((target("avx2"))) void GemvAvx2(const float* weight, const float* bias,
                                              const float* x, float* y, size_t outputs,
                                              size_t inputs) {
  GemvBody(weight, bias, x, y, outputs, inputs);
}

GemvFunction Fastest() { return __builtin_cpu_supports("avx2") ? GemvAvx2 : GemvBaseline; }
#else
GemvFunction Fastest() { return GemvBaseline; }
#endif

}  // namespace

void Gemv(const float* weight, const float* bias, const float* x, float* y, size_t outputs,
          size_t inputs) {
  static const GemvFunction fastest = Fastest();
  fastest(weight, bias, x, y, outputs, inputs);
}

}  // namespace emotion::heads

// What the tower computes beside matrix products: norms and attention, vectorised.
//
// The same source (kernels_body.inc) is compiled once for each instruction set; which one runs is
// decided once, by what the CPU has. All give the same results up to the rounding of sums. No
// allocation, no threads: callers split the work. Buffers may be unaligned and must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace emotion::vision {

// How values between two products are stored; sums are always fp32.
enum class Element { kF32, kBf16 };

constexpr size_t BytesOf(Element element) { return element == Element::kF32 ? 4 : 2; }

struct NormTask {
  const float* x = nullptr;       // [rows, width]
  const float* weight = nullptr;  // [width]
  int64_t rows = 0;
  int64_t width = 0;
  Element element = Element::kF32;
  void* out = nullptr;  // [rows, width] of `element`
};

// One head over one segment: softmax(q k^T / sqrt(dim)) v, with q and k turned by their angles.
struct HeadTask {
  const void* q = nullptr;  // [rows, dim] of `element`, `stride` values from row to row; k, v alike
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t stride = 0;
  const float* cos = nullptr;  // [rows, dim / 2]
  const float* sin = nullptr;
  int64_t rows = 0;
  int64_t dim = 0;  // even
  Element element = Element::kF32;
  float* scratch = nullptr;  // HeadScratch(rows, dim) values
  void* out = nullptr;       // [rows, dim] of `element`, `out_stride` values from row to row
  int64_t out_stride = 0;
};

size_t HeadScratch(int64_t rows, int64_t dim);

struct Kernels {
  const char* name;  // "avx512", "avx2" or "portable"
  // RMSNorm: out = weight * x / sqrt(mean(x^2) + 1e-6), in fp32, rounded once.
  void (*norm)(const NormTask& task);
  void (*attend)(const HeadTask& task);
  // out[i] = x[i] rounded to bf16, to nearest even; NaN stays NaN.
  void (*to_bf16)(const float* x, size_t count, uint16_t* out);
  // Keeps the multiply-add units busy for some rounds; gives the operations done. For benchmarks.
  double (*multiply_adds)(int64_t rounds);
};

// Those that this CPU can run, the best first; "portable" is always among them.
std::span<const Kernels* const> UsableKernels();

}  // namespace emotion::vision

// What the tower computes beside matrix products, vectorised: norms, attention, and the way to
// bytes and back.
//
// The same source (kernels_body.inc) is compiled once for each instruction set; which one runs is
// decided once, by what the CPU has. All give the same results up to the rounding of sums. No
// allocation, no threads: callers split the work. Buffers may be unaligned and must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace emotion::vision {

// How values between two products are stored; sums are always fp32. kInt8 are bytes around 128 with
// a scale for each row: value = (byte - 128) * scale.
enum class Element { kF32, kBf16, kInt8 };

constexpr size_t BytesOf(Element element) {
  return element == Element::kF32 ? 4 : element == Element::kBf16 ? 2 : 1;
}

// What happens to z = x W^T + b before it is stored.
enum class Epilogue {
  kNone,
  kSilu,      // z / (1 + exp(-z))
  kGelu,      // the exact one, with erf
  kMultiply,  // z * other
  kAdd,       // y + z: onto what stands in y
};

struct NormTask {
  const float* x = nullptr;       // [rows, width]
  const float* weight = nullptr;  // [width]
  int64_t rows = 0;
  int64_t width = 0;
  Element element = Element::kF32;  // kF32 or kBf16
  void* out = nullptr;              // [rows, width] of `element`
};

// A norm whose weight is 1, to bytes. A row with a value that is not finite has the scale NaN, so
// that whatever is computed from it is NaN; a row of zeros is bytes of 128.
struct NormQuantiseTask {
  const float* x = nullptr;  // [rows, width]
  int64_t rows = 0;
  int64_t width = 0;
  int64_t group = 1;        // rows that share a scale; divides `rows`
  uint8_t* out = nullptr;   // [rows, width]
  float* scales = nullptr;  // [rows / group]
};

// Rows to bytes, each with its scale, after every block of values was turned by Hadamard's matrix:
// one large value then costs all others of its block a little instead of its row their precision.
// What is not finite: as above.
struct QuantiseTask {
  const void* x = nullptr;  // [rows, width] of `element`
  int64_t rows = 0;
  int64_t width = 0;
  int64_t block = 1;                // a power of two that divides `width`; 1: nothing is turned
  Element element = Element::kF32;  // kF32 or kBf16
  float* scratch = nullptr;         // [width]
  uint8_t* out = nullptr;           // [rows, width]
  float* scales = nullptr;          // [rows]
};

// From the sums of a product of bytes to its result: z = (sum - offset) * row scale * column scale
// + bias, then the epilogue.
struct FinishTask {
  const int32_t* sums = nullptr;  // [rows, width]
  int64_t rows = 0;
  int64_t width = 0;
  const float* row_scales = nullptr;     // [rows]
  const float* column_scales = nullptr;  // [width]
  const int32_t* offsets = nullptr;      // [width]
  const float* bias = nullptr;           // [width]
  Epilogue epilogue = Epilogue::kNone;
  const void* other = nullptr;     // for kMultiply: [rows, width] of `result`
  Element result = Element::kF32;  // kF32 or kBf16
  void* y = nullptr;               // [rows, width] of `result`
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
  void (*norm_quantise)(const NormQuantiseTask& task);
  void (*quantise)(const QuantiseTask& task);
  void (*finish)(const FinishTask& task);
  // Hadamard's matrix on each block of `block` (a power of two) of `count` values in place, without
  // the factor 1 / sqrt(block).
  void (*turn_blocks)(float* x, int64_t count, int64_t block);
  // The largest magnitude of a row of weights or, of `pairs` (0 and 1, 2 and 3, ...), the largest
  // sum of their positive or of their negative values; NaN where a weight is not finite.
  float (*weight_range)(const float* w, int64_t count, bool pairs);
  // out[i] = w[i] * steps, rounded; gives their sum. REQUIRES: results within [-127, 127].
  int32_t (*round_weights)(const float* w, int64_t count, float steps, int8_t* out);
  // Keeps the multiply-add units busy for some rounds; gives the operations done. For benchmarks.
  double (*multiply_adds)(int64_t rounds);
};

// Those that this CPU can run, the best first; "portable" is always among them.
std::span<const Kernels* const> UsableKernels();

}  // namespace emotion::vision

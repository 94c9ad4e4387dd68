// What the tower computes, vectorised: norms, attention, the way to bytes and back, and matrix
// products where oneDNN has none that read packed weights.
//
// The same source (kernels_body.inc) is compiled once for each instruction set; which one runs is
// decided once, by what the CPU has. All give the same results up to the rounding of sums. No
// allocation, no threads: callers split the work. Buffers may be unaligned and must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace emotion::vision {

// How values between two products are stored; sums are always fp32. kInt8 are unsigned bytes with a
// scale for each row, see ByteRange.
enum class Element { kF32, kBf16, kInt8 };

// value = (byte - zero) * scale, bytes from zero - most to zero + most.
struct ByteRange {
  int32_t zero = 128;
  int32_t most = 127;
};

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
// that whatever is computed from it is NaN; a row of zeros is bytes of range.zero.
struct NormQuantiseTask {
  const float* x = nullptr;  // [rows, width]
  int64_t rows = 0;
  int64_t width = 0;
  int64_t group = 1;  // rows that share a scale; divides `rows`
  ByteRange range = {};
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
  ByteRange range = {};
  float* scratch = nullptr;  // [width]
  uint8_t* out = nullptr;    // [rows, width]
  float* scales = nullptr;   // [rows]
};

// Outputs whose weights stand together, for products by our own kernels: a panel holds them step by
// step of what enters. Of floats a step is one value: [in][16]. Of bytes it is eight, two runs of
// four for each output: [in / 8, rounded up][2][16][4], zeros at the end.
constexpr int64_t kPanelOutputs = 16;
constexpr int64_t kByteStep = 8;

constexpr int64_t PanelInputs(Element element, int64_t in) {
  return element == Element::kInt8 ? (in + kByteStep - 1) / kByteStep * kByteStep : in;
}

// sums = x times the weights of some panels. Sums of bytes are exact where no four neighbouring
// products pass 16 bits: see kQuads in quantised_weights.h.
struct PanelTask {
  const void* x = nullptr;  // [rows, in] floats or bytes; of bytes kByteStep more may be read
  int64_t rows = 0;
  int64_t in = 0;
  const void* panels = nullptr;  // `count`, one after the other, aligned to 64 bytes
  int64_t count = 0;
  const void* next = nullptr;  // what the caller is likely to multiply with after this, or null
  void* sums = nullptr;        // [rows, count * kPanelOutputs] floats or int32, aligned to 64 bytes
};

// From the sums of a product to its result. Of bytes: z = (sum - offset) * row scale * column scale
// + bias; of floats: z = sum + bias. Then the epilogue.
struct FinishTask {
  const void* sums = nullptr;  // [rows, width] int32 where there are scales, else floats;
                               // `sums_stride` from row to row
  int64_t sums_stride = 0;
  int64_t rows = 0;
  int64_t width = 0;
  const float* row_scales = nullptr;     // [rows], of bytes. This and the next two.
  const float* column_scales = nullptr;  // [width]
  const int32_t* offsets = nullptr;      // [width]
  const float* bias = nullptr;           // [width]
  Epilogue epilogue = Epilogue::kNone;
  const void* other = nullptr;     // for kMultiply: [rows, width] of `result`, `stride` as y
  Element result = Element::kF32;  // kF32 or kBf16
  void* y = nullptr;               // [rows, width] of `result`, `stride` values from row to row
  int64_t stride = 0;
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
  void (*multiply_floats)(const PanelTask& task);
  void (*multiply_bytes)(const PanelTask& task);
  void (*finish)(const FinishTask& task);
  // Hadamard's matrix on each block of `block` (a power of two) of `count` values in place, without
  // the factor 1 / sqrt(block).
  void (*turn_blocks)(float* x, int64_t count, int64_t block);
  // The largest magnitude of a row of weights; NaN where a weight is not finite.
  float (*largest_weight)(const float* w, int64_t count);
  // The largest sum of the positive, or of the negative, weights that meet in 16 bits in
  // multiply_bytes: of every eight 0, 1, 4 and 5, and 2, 3, 6 and 7.
  float (*largest_quad)(const float* w, int64_t count);
  // out[i] = w[i] * steps, rounded; gives their sum. REQUIRES: results within [-127, 127].
  int32_t (*round_weights)(const float* w, int64_t count, float steps, int8_t* out);
  // Keeps the multiply-add units busy for some rounds; gives the operations done. For benchmarks.
  double (*multiply_adds)(int64_t rounds);
};

// Those that this CPU can run, the best first; "portable" is always among them.
std::span<const Kernels* const> UsableKernels();

}  // namespace emotion::vision

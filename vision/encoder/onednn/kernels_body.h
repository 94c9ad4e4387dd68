// The kernels, to be compiled once for each instruction set by a .cc file that defines
// EMOTION_KERNEL_SET (the namespace), EMOTION_KERNEL_NAME and EMOTION_KERNEL_LANES (floats in one
// register).
//
// Written with the compiler's vector type. Nothing of the standard library is used in here, not
// even inline functions: the linker would be free to keep the copy that was compiled for AVX-512
// for everybody.
#include <stddef.h>
#include <stdint.h>

#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision::EMOTION_KERNEL_SET {
namespace {

constexpr int kLanes = EMOTION_KERNEL_LANES;
using V = float __attribute__((vector_size(4 * kLanes)));
using VInt = int32_t __attribute__((vector_size(4 * kLanes)));
using VBits = uint32_t __attribute__((vector_size(4 * kLanes)));
using VShort = uint16_t __attribute__((vector_size(2 * kLanes)));
using VLoose = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using VShortLoose = uint16_t __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

#define EMOTION_INLINE inline __attribute__((always_inline))

EMOTION_INLINE V Splat(float x) { return V{} + x; }
EMOTION_INLINE V Load(const float* p) { return *reinterpret_cast<const VLoose*>(p); }
EMOTION_INLINE void Store(float* p, V v) { *reinterpret_cast<VLoose*>(p) = v; }

EMOTION_INLINE V LoadBf16(const uint16_t* p) {
  const VShort stored = *reinterpret_cast<const VShortLoose*>(p);
  return reinterpret_cast<V>(__builtin_convertvector(stored, VBits) << 16);
}

EMOTION_INLINE float FromBf16(uint16_t stored) {
  const uint32_t bits = uint32_t{stored} << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

EMOTION_INLINE uint16_t ToBf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

EMOTION_INLINE VShort ToBf16(V v) {
  const VBits bits = reinterpret_cast<VBits>(v);
  const VBits rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const VBits nan = VBits{} + 0x7fc0U;
  return __builtin_convertvector((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded, VShort);
}

EMOTION_INLINE float Sum(V v) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

EMOTION_INLINE V Max(V a, V b) { return a > b ? a : b; }

// exp(x) for x <= 0, relative error below 2e-7; 0 below -87. Cody-Waite reduction and a Taylor
// polynomial of degree 7 on [-ln2/2, ln2/2].
EMOTION_INLINE V Exp(V x) {
  const V clamped = Max(x, Splat(-87.0F));
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const V n = (clamped * 1.44269504F + kRound) - kRound;
  const V r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  V p = Splat(1.0F / 5040);
  p = p * r + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const VInt exponent = (__builtin_convertvector(n, VInt) + 127) << 23;
  return x < -87.0F ? V{} : p * reinterpret_cast<V>(exponent);
}

void Norm(const NormTask& task) {
  const int64_t whole = task.width / kLanes * kLanes;
  for (int64_t row = 0; row < task.rows; ++row) {
    const float* x = task.x + row * task.width;
    V squares{};
    for (int64_t i = 0; i < whole; i += kLanes) squares += Load(x + i) * Load(x + i);
    float sum = Sum(squares);
    for (int64_t i = whole; i < task.width; ++i) sum += x[i] * x[i];
    const float scale = 1.0F / __builtin_sqrtf(sum / static_cast<float>(task.width) + 1e-6F);
    if (task.element == Element::kF32) {
      float* out = static_cast<float*>(task.out) + row * task.width;
      for (int64_t i = 0; i < whole; i += kLanes) {
        Store(out + i, Load(x + i) * scale * Load(task.weight + i));
      }
      for (int64_t i = whole; i < task.width; ++i) out[i] = x[i] * scale * task.weight[i];
    } else {
      uint16_t* out = static_cast<uint16_t*>(task.out) + row * task.width;
      for (int64_t i = 0; i < whole; i += kLanes) {
        *reinterpret_cast<VShortLoose*>(out + i) =
            ToBf16(Load(x + i) * scale * Load(task.weight + i));
      }
      for (int64_t i = whole; i < task.width; ++i) out[i] = ToBf16(x[i] * scale * task.weight[i]);
    }
  }
}

// The scratch of one head: keys transposed, values and four rows of scores, padded to whole
// vectors, so that the loops below have no rests.
struct HeadBuffers {
  int64_t keys;    // rows, rounded up to whole vectors
  int64_t values;  // dim, rounded up
  float* keys_t;   // [dim, keys]
  float* v;        // [keys, values]
  float* q;        // [4, dim]
  float* scores;   // [4, keys]
};

// To pairs of vectors: the loops below take two at a time.
EMOTION_INLINE int64_t Padded(int64_t n) {
  return (n + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
}

EMOTION_INLINE HeadBuffers Carve(const HeadTask& task) {
  HeadBuffers b;
  b.keys = Padded(task.rows);
  b.values = Padded(task.dim);
  b.keys_t = task.scratch;
  b.v = b.keys_t + task.dim * b.keys;
  b.q = b.v + b.keys * b.values;
  b.scores = b.q + 4 * task.dim;
  return b;
}

EMOTION_INLINE float At(const void* base, Element element, int64_t index) {
  return element == Element::kF32 ? static_cast<const float*>(base)[index]
                                  : FromBf16(static_cast<const uint16_t*>(base)[index]);
}

// Turns one row of a head by its angles: halves (a, b) -> (a cos - b sin, b cos + a sin), scaled;
// value i goes to out[i * step].
EMOTION_INLINE void Rotate(const HeadTask& task, const void* base, int64_t row, float scale,
                           float* out, int64_t step) {
  const int64_t half = task.dim / 2;
  const float* cos = task.cos + row * half;
  const float* sin = task.sin + row * half;
  const int64_t at = row * task.stride;
  for (int64_t i = 0; i < half; ++i) {
    const float a = At(base, task.element, at + i);
    const float b = At(base, task.element, at + half + i);
    out[i * step] = (a * cos[i] - b * sin[i]) * scale;
    out[(half + i) * step] = (b * cos[i] + a * sin[i]) * scale;
  }
}

EMOTION_INLINE void LoadKeysAndValues(const HeadTask& task, const HeadBuffers& b) {
  for (int64_t row = 0; row < task.rows; ++row) {
    Rotate(task, task.k, row, 1.0F, b.keys_t + row, b.keys);
    float* v = b.v + row * b.values;
    for (int64_t i = 0; i < task.dim; ++i) v[i] = At(task.v, task.element, row * task.stride + i);
    for (int64_t i = task.dim; i < b.values; ++i) v[i] = 0;
  }
  for (int64_t row = task.rows; row < b.keys; ++row) {
    for (int64_t d = 0; d < task.dim; ++d) b.keys_t[d * b.keys + row] = 0;
    for (int64_t i = 0; i < b.values; ++i) b.v[row * b.values + i] = 0;
  }
}

// Four queries at a time, two vectors wide: eight sums in registers, and each vector that was
// loaded serves all four. out[i][column] = sum over n of factors[i][n] * rows[n][column].
EMOTION_INLINE void Product(const float* factors, int64_t factor_stride, const float* rows,
                            int64_t n, int64_t row_stride, V (&out)[4][2]) {
  for (auto& sums : out) sums[0] = sums[1] = V{};
  for (int64_t i = 0; i < n; ++i) {
    const V left = Load(rows + i * row_stride);
    const V right = Load(rows + i * row_stride + kLanes);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      const float factor = factors[q * factor_stride + i];
      out[q][0] += left * factor;
      out[q][1] += right * factor;
    }
  }
}

EMOTION_INLINE void Score(const HeadTask& task, const HeadBuffers& b) {
  for (int64_t key = 0; key < b.keys; key += 2 * kLanes) {
    V sums[4][2];
    Product(b.q, task.dim, b.keys_t + key, task.dim, b.keys, sums);
    for (int q = 0; q < 4; ++q) {
      Store(b.scores + q * b.keys + key, sums[q][0]);
      Store(b.scores + q * b.keys + key + kLanes, sums[q][1]);
    }
  }
}

// Scores of one query become shares that are not yet divided by their sum, which is returned.
EMOTION_INLINE float Softmax(float* scores, int64_t rows, int64_t keys) {
  for (int64_t i = rows; i < keys; ++i) scores[i] = -__builtin_inff();
  V most = Load(scores);
  for (int64_t i = kLanes; i < keys; i += kLanes) most = Max(most, Load(scores + i));
  float max = most[0];
  for (int i = 1; i < kLanes; ++i) max = most[i] > max ? most[i] : max;
  V sum{};
  for (int64_t i = 0; i < keys; i += kLanes) {
    const V share = Exp(Load(scores + i) - max);
    Store(scores + i, share);
    sum += share;
  }
  return Sum(sum);
}

EMOTION_INLINE void StoreRow(const HeadTask& task, int64_t row, int64_t column, V value) {
  const int64_t at = row * task.out_stride + column;
  const int64_t left = task.dim - column;
  if (task.element == Element::kF32) {
    float* out = static_cast<float*>(task.out) + at;
    if (left >= kLanes) return Store(out, value);
    for (int64_t i = 0; i < left; ++i) out[i] = value[i];
  } else {
    uint16_t* out = static_cast<uint16_t*>(task.out) + at;
    const VShort rounded = ToBf16(value);
    if (left >= kLanes) {
      *reinterpret_cast<VShortLoose*>(out) = rounded;
      return;
    }
    for (int64_t i = 0; i < left; ++i) out[i] = rounded[i];
  }
}

EMOTION_INLINE void Mix(const HeadTask& task, const HeadBuffers& b, int64_t row, int64_t queries,
                        const float* sums) {
  for (int64_t column = 0; column < b.values; column += 2 * kLanes) {
    V mixed[4][2];
    Product(b.scores, b.keys, b.v + column, task.rows, b.values, mixed);
    for (int64_t q = 0; q < queries; ++q) {
      StoreRow(task, row + q, column, mixed[q][0] / sums[q]);
      StoreRow(task, row + q, column + kLanes, mixed[q][1] / sums[q]);
    }
  }
}

void Attend(const HeadTask& task) {
  const HeadBuffers b = Carve(task);
  const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(task.dim));
  LoadKeysAndValues(task, b);
  for (int64_t row = 0; row < task.rows; row += 4) {
    const int64_t queries = task.rows - row < 4 ? task.rows - row : 4;
    for (int64_t i = 0; i < 4; ++i) {  // the last query stands in for those that are not there
      const int64_t query = row + (i < queries ? i : queries - 1);
      Rotate(task, task.q, query, scale, b.q + i * task.dim, 1);
    }
    Score(task, b);
    float sums[4];
    for (int64_t i = 0; i < 4; ++i) sums[i] = Softmax(b.scores + i * b.keys, task.rows, b.keys);
    Mix(task, b, row, queries, sums);
  }
}

void RoundToBf16(const float* x, size_t count, uint16_t* out) {
  const size_t whole = count / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    *reinterpret_cast<VShortLoose*>(out + i) = ToBf16(Load(x + i));
  }
  for (size_t i = whole; i < count; ++i) out[i] = ToBf16(x[i]);
}

// Independent chains, enough to hide the latency of a multiply-add and few enough for the
// registers.
double MultiplyAdds(int64_t rounds) {
  constexpr int kChains = 12;
  V chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = Splat(static_cast<float>(i));
  V factor = Splat(0.999F);
  V term = Splat(0.001F);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * factor + term;
  }
  V sum{};
  for (int i = 0; i < kChains; ++i) sum += chains[i];
  const float used = Sum(sum);
  __asm__ volatile("" : : "x"(used));  // or the loop would be removed
  return 2.0 * kLanes * kChains * static_cast<double>(rounds);
}

#undef EMOTION_INLINE

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {EMOTION_KERNEL_NAME, Norm, Attend, RoundToBf16, MultiplyAdds};

}  // namespace emotion::vision::EMOTION_KERNEL_SET

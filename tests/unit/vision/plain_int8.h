// What the tests of int8 share: rows as bytes, and turns and epilogues in plain loops.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/vision/plain_numbers.h"
#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/packed_linear.h"

namespace emotion::vision {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Hadamard's matrix by its definition: the sign is the parity of the bits that both indices have.
inline std::vector<double> PlainTurn(const std::vector<float>& x, size_t block) {
  std::vector<double> turned(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t base = i / block * block;
    for (size_t k = 0; k < block; ++k) {
      const bool odd = __builtin_popcountll((i % block) & k) % 2 == 1;
      turned[i] += (odd ? -1.0 : 1.0) * x[base + k] / std::sqrt(static_cast<double>(block));
    }
  }
  return turned;
}

struct Bytes {
  std::vector<uint8_t> bytes;  // and kByteStep more
  std::vector<float> scales;
};

inline Bytes Quantised(const Kernels& kernels, const void* x, Element element, size_t rows,
                       size_t width, size_t block, ByteRange range = {}) {
  Bytes out{std::vector<uint8_t>(rows * width + kByteStep), std::vector<float>(rows)};
  std::vector<float> scratch(width, kNan);
  kernels.quantise({.x = x,
                    .rows = static_cast<int64_t>(rows),
                    .width = static_cast<int64_t>(width),
                    .block = static_cast<int64_t>(block),
                    .element = element,
                    .range = range,
                    .scratch = scratch.data(),
                    .out = out.bytes.data(),
                    .scales = out.scales.data()});
  return out;
}

inline double PlainEpilogue(Epilogue epilogue, double z, double other, double y) {
  switch (epilogue) {
    case Epilogue::kSilu:
      return z / (1 + std::exp(-z));
    case Epilogue::kGelu:
      return z * 0.5 * (1 + std::erf(z / std::sqrt(2.0)));
    case Epilogue::kMultiply:
      return z * other;
    case Epilogue::kAdd:
      return z + y;
    case Epilogue::kNone:
      break;
  }
  return z;
}

inline constexpr Epilogue kEpilogues[] = {Epilogue::kNone, Epilogue::kSilu, Epilogue::kGelu,
                                          Epilogue::kMultiply, Epilogue::kAdd};

}  // namespace emotion::vision

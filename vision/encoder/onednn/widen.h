// bf16 back to fp32, exactly. Not vectorised by hand: the kernels read bf16 themselves, this is for
// what is emulated.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace emotion::vision {

inline void WidenBf16(std::span<const uint16_t> stored, float* out) {
  for (const uint16_t value : stored) *out++ = std::bit_cast<float>(uint32_t{value} << 16);
}

}  // namespace emotion::vision

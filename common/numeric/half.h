// IEEE 754 half precision as it travels: little-endian pairs of bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace emotion {

// Round to nearest, ties to even; beyond 65504 becomes infinity.
uint16_t FloatToHalf(float value);
float HalfToFloat(uint16_t half);

// Two bytes per value.
std::string EncodeHalf(std::span<const float> values);
// REQUIRES: an even number of bytes.
std::vector<float> DecodeHalf(std::string_view bytes);

}  // namespace emotion

// What fakes make their answers of, so that mixed-up answers are caught: equal bytes, equal answer.
#pragma once

#include <cstdint>
#include <string_view>

namespace emotion::testing {

// FNV-1a.
inline uint32_t HashOfBytes(std::string_view bytes) {
  uint32_t hash = 2166136261U;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 16777619U;
  return hash;
}

}  // namespace emotion::testing

// Reads numbers out of hostile bytes: every access is checked, nothing is copied. Out of range
// reads give nullopt and change nothing. Borrows the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace emotion::vision {

enum class ByteOrder { kBig, kLittle };

// The unsigned number of `width` (1 to 4) bytes at `offset`; nullopt when it does not lie within.
inline std::optional<uint32_t> ReadUint(std::string_view bytes, size_t offset, int width,
                                        ByteOrder order) {
  if (offset > bytes.size() || bytes.size() - offset < static_cast<size_t>(width)) {
    return std::nullopt;
  }
  uint32_t value = 0;
  for (int i = 0; i < width; ++i) {
    const int at = order == ByteOrder::kBig ? i : width - 1 - i;
    value = (value << 8) | static_cast<uint8_t>(bytes[offset + static_cast<size_t>(at)]);
  }
  return value;
}

// bytes[offset, offset + length); nullopt when that does not lie within.
inline std::optional<std::string_view> Slice(std::string_view bytes, size_t offset, size_t length) {
  if (offset > bytes.size() || bytes.size() - offset < length) return std::nullopt;
  return bytes.substr(offset, length);
}

}  // namespace emotion::vision

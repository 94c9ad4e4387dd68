#include "vision/preprocess/exif_orientation.h"

#include <algorithm>
#include <optional>

#include "vision/preprocess/byte_reader.h"

namespace emotion::vision {
namespace {

constexpr std::string_view kExifPrefix("Exif\0\0", 6);
constexpr std::string_view kLittleEndianMagic("II*\0", 4);
constexpr std::string_view kBigEndianMagic("MM\0*", 4);
constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kTypeShort = 3;
constexpr size_t kEntryBytes = 12;  // tag, type, count, value or offset

std::optional<ByteOrder> ParseByteOrder(std::string_view tiff) {
  if (tiff.starts_with(kLittleEndianMagic)) return ByteOrder::kLittle;
  if (tiff.starts_with(kBigEndianMagic)) return ByteOrder::kBig;
  return std::nullopt;
}

std::optional<uint32_t> FindOrientation(std::string_view tiff, ByteOrder order) {
  const auto directory = ReadUint(tiff, 4, 4, order);
  if (!directory) return std::nullopt;
  const auto entries = ReadUint(tiff, *directory, 2, order);
  if (!entries) return std::nullopt;
  for (size_t i = 0; i < *entries; ++i) {
    const auto entry = Slice(tiff, size_t{*directory} + 2 + i * kEntryBytes, kEntryBytes);
    if (!entry) return std::nullopt;
    if (ReadUint(*entry, 0, 2, order) != kOrientationTag) continue;
    if (ReadUint(*entry, 2, 2, order) != kTypeShort || ReadUint(*entry, 4, 4, order) != 1u) {
      return std::nullopt;
    }
    return ReadUint(*entry, 8, 2, order);
  }
  return std::nullopt;
}

}  // namespace

int ParseExifOrientation(std::string_view tiff) {
  if (tiff.starts_with(kExifPrefix)) tiff.remove_prefix(kExifPrefix.size());
  const auto order = ParseByteOrder(tiff);
  if (!order) return 1;
  const uint32_t value = FindOrientation(tiff, *order).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

}  // namespace emotion::vision

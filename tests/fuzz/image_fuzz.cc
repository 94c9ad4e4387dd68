// Any bytes: InspectImage and DecodeImage give an error or an image that keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <zlib.h>

#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/orientation.h"
#include "vision/preprocess/resize_bicubic.h"

namespace emotion::vision {
namespace {

// Small, so that an input costs milliseconds.
constexpr DecodeLimits kLimits{.max_bytes = size_t{1} << 18, .max_side = 512};

void Require(bool condition) {
  if (!condition) std::abort();
}

void DecodeAnything(std::string_view bytes) {
  const auto header = InspectImage(bytes, kLimits);
  if (!header.ok()) return;
  Require(header->exif_orientation >= 1 && header->exif_orientation <= 8);
  Require(CheckDimensions(header->format, header->size.width, header->size.height, kLimits).ok());
  auto image = DecodeImage(bytes, *header);
  if (!image.ok()) return;
  Require(image->size == header->size);
  Require(image->pixels.size() == static_cast<size_t>(image->size.width) * image->size.height * 3);
  const ImageSize upright = OrientedSize(image->size, header->exif_orientation);
  RgbImage turned = ApplyExifOrientation(*std::move(image), header->exif_orientation);
  Require(turned.size == upright);
  Require(ResizeBicubic(std::move(turned), {28, 28}).pixels.size() == size_t{28} * 28 * 3);
}

}  // namespace
}  // namespace emotion::vision

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  emotion::vision::DecodeAnything({reinterpret_cast<const char*>(data), size});
  return 0;
}

#ifdef EMOTION_FUZZ
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Mends the checksums of PNG chunks after a mutation: else none would get past IHDR.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size < 8 || data[0] != 0x89 || seed % 16 == 0) return size;
  const auto big_endian = [&](size_t at) {
    return uint32_t{data[at]} << 24 | uint32_t{data[at + 1]} << 16 | uint32_t{data[at + 2]} << 8 |
           data[at + 3];
  };
  for (size_t at = 8; at + 12 <= size;) {
    const size_t length = big_endian(at);
    if (length > size - at - 12) break;
    const auto crc = static_cast<uint32_t>(crc32(0, data + at + 4, static_cast<uInt>(length + 4)));
    for (size_t i = 0; i < 4; ++i) {
      data[at + 8 + length + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    }
    at += 12 + length;
  }
  return size;
}
#endif

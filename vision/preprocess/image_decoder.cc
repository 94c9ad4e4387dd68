#include "vision/preprocess/image_decoder.h"

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/format_decoders.h"

namespace emotion::vision {
namespace {

constexpr int64_t kBytesPerPixel = 3;
// JPEG's coefficients take two bytes each; WebP's working pictures take less than that.
constexpr int64_t kSecondBufferBytesPerPixel = 2 * kBytesPerPixel;
// Codec state, tables and rows in work.
constexpr int64_t kCodecBytes = int64_t{1} << 20;

}  // namespace

absl::StatusOr<RgbImage> DecodeImage(std::string_view bytes, const ImageHeader& header) {
  RgbImage image{header.size, {}};
  image.pixels.resize(static_cast<size_t>(header.size.width) * header.size.height * kBytesPerPixel);
  absl::Status status;
  switch (header.format) {
    case ImageFormat::kJpeg:
      status = DecodeJpeg(bytes, image);
      break;
    case ImageFormat::kPng:
      status = DecodePng(bytes, image);
      break;
    case ImageFormat::kWebp:
      status = DecodeWebp(bytes, image);
      break;
  }
  if (!status.ok()) return status;
  return image;
}

int64_t DecodePeakBytes(const ImageHeader& header) {
  const int64_t pixels = int64_t{header.size.width} * header.size.height;
  const int64_t second = header.needs_second_buffer ? kSecondBufferBytesPerPixel : 0;
  return pixels * (kBytesPerPixel + second) + kCodecBytes;
}

}  // namespace emotion::vision

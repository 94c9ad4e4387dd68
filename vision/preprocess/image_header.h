// What an image says about itself, read before anything is allocated for its pixels.
//
// Images come from strangers. InspectImage decides, by magic bytes and by our own walk over the
// container, whether a decoder may see the bytes at all: JPEG (SOF0, 1 and 2, 8 bits, 1 or 3
// components), PNG (up to 8 bits a channel, no animation) and WebP (no animation), within the
// limits. The walk costs one pass over the bytes and no memory; it does not prove that the
// compressed data is sound, which only DecodeImage does. Pure functions, safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

enum class ImageFormat { kJpeg, kPng, kWebp };

// "JPEG", "PNG", "WebP".
std::string_view ImageFormatName(ImageFormat format);

struct DecodeLimits {
  size_t max_bytes = size_t{4} << 20;  // MAX_IMAGE_BYTES
  int max_side = 4096;                 // pixels; the shortest side is 1
  int max_aspect = 20;                 // longer side over shorter side
  // A legal JPEG may repeat its last scan 2,000 times, each costing a pass over all pixels: 156 KB
  // were measured at 26 s. An ordinary progressive file has 10.
  int max_jpeg_scans = 64;
};

struct ImageHeader {
  ImageFormat format = ImageFormat::kJpeg;
  ImageSize size{};          // as stored; EXIF orientation not applied
  int exif_orientation = 1;  // 1 to 8; 1 where there is none or it is nonsense
  // The decoder has to hold the whole image in coefficients or in 32 bits a pixel besides its
  // result: progressive and multi-scan JPEG, WebP.
  bool needs_second_buffer = false;
};

// `bytes` is the whole file; bytes after the end of the image are ignored.
// Errors, each naming what was found and the limit:
//   IMAGE_TOO_LARGE    more than max_bytes
//   IMAGE_UNSUPPORTED  empty, not JPEG, PNG or WebP, or a kind of them that is refused (see above;
//                      also more than max_jpeg_scans scans)
//   IMAGE_CORRUPT      truncated or malformed
//   IMAGE_DIMENSIONS   a side of 0 or over max_side, or thinner than 1:max_aspect
absl::StatusOr<ImageHeader> InspectImage(std::string_view bytes, const DecodeLimits& limits);

// The size rule alone, as InspectImage applies it.
absl::Status CheckDimensions(ImageFormat format, int64_t width, int64_t height,
                             const DecodeLimits& limits);

}  // namespace emotion::vision

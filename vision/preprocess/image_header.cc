#include "vision/preprocess/image_header.h"

#include <algorithm>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/header_parsers.h"

namespace emotion::vision {
namespace {

constexpr std::string_view kJpegMagic = "\xFF\xD8\xFF";
constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1A\n";
constexpr std::string_view kRiffMagic = "RIFF";
constexpr std::string_view kWebpMagic = "WEBP";  // at byte 8, after RIFF and a length

bool IsWebp(std::string_view bytes) {
  return bytes.starts_with(kRiffMagic) && bytes.size() >= 12 &&
         bytes.substr(8).starts_with(kWebpMagic);
}

// The first bytes in hexadecimal, so that a developer can see what was sent.
absl::Status NotAnImage(std::string_view bytes) {
  if (bytes.empty()) {
    return Error(Reason::kImageUnsupported, "image is empty; send a JPEG, PNG or WebP file");
  }
  std::string found;
  for (const char byte : bytes.substr(0, 8)) {
    found += fmt::format("{:02x} ", static_cast<uint8_t>(byte));
  }
  found.pop_back();
  return Error(Reason::kImageUnsupported,
               fmt::format("image must be JPEG, PNG or WebP; it begins with {}", found));
}

}  // namespace

std::string_view ImageFormatName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
  }
  return "";
}

absl::Status CheckDimensions(ImageFormat format, int64_t width, int64_t height,
                             const DecodeLimits& limits) {
  const std::string_view name = ImageFormatName(format);
  if (std::min(width, height) < 1 || std::max(width, height) > limits.max_side) {
    return Error(Reason::kImageDimensions,
                 fmt::format("{} is {} x {} pixels; a side must have 1 to {}", name, width, height,
                             limits.max_side));
  }
  if (std::max(width, height) > limits.max_aspect * std::min(width, height)) {
    return Error(Reason::kImageDimensions,
                 fmt::format("{} is {} x {} pixels; the aspect ratio must be within 1:{}", name,
                             width, height, limits.max_aspect));
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageHeader> InspectImage(std::string_view bytes, const DecodeLimits& limits) {
  if (bytes.size() > limits.max_bytes) {
    return Error(Reason::kImageTooLarge, fmt::format("image has {} bytes; at most {} are taken",
                                                     bytes.size(), limits.max_bytes));
  }
  if (bytes.starts_with(kJpegMagic)) return ParseJpegHeader(bytes, limits);
  if (bytes.starts_with(kPngMagic)) return ParsePngHeader(bytes, limits);
  if (IsWebp(bytes)) return ParseWebpHeader(bytes, limits);
  return NotAnImage(bytes);
}

}  // namespace emotion::vision

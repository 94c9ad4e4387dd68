#include <algorithm>
#include <optional>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/byte_reader.h"
#include "vision/preprocess/exif_orientation.h"
#include "vision/preprocess/header_parsers.h"

namespace emotion::vision {
namespace {

constexpr size_t kRiffHeaderBytes = 12;  // "RIFF", length, "WEBP"
constexpr uint32_t kAnimationFlag = 0x02;
constexpr std::string_view kLossyStart = "\x9D\x01\x2A";
constexpr uint32_t kLosslessSignature = 0x2F;

absl::Status Corrupt(std::string_view what) {
  return Error(Reason::kImageCorrupt, fmt::format("WebP is corrupt: {}", what));
}

absl::Status Animated() {
  return Error(Reason::kImageUnsupported,
               "WebP is not supported: an animation; send a still image");
}

// "VP8 ": a frame tag of 3 bytes (bit 0 clear: a key frame), the start code, two sides of 14 bits.
std::optional<ImageSize> LossySize(std::string_view data) {
  const auto tag = ReadUint(data, 0, 1, ByteOrder::kLittle);
  const auto width = ReadUint(data, 6, 2, ByteOrder::kLittle);
  const auto height = ReadUint(data, 8, 2, ByteOrder::kLittle);
  if (!height || (*tag & 1) != 0 || data.substr(3, 3) != kLossyStart) return std::nullopt;
  return ImageSize{static_cast<int>(*width & 0x3FFF), static_cast<int>(*height & 0x3FFF)};
}

// "VP8L": a signature byte, then 14 bits of width - 1, 14 of height - 1, 1 alpha, 3 version.
std::optional<ImageSize> LosslessSize(std::string_view data) {
  const auto bits = ReadUint(data, 1, 4, ByteOrder::kLittle);
  if (!bits || ReadUint(data, 0, 1, ByteOrder::kLittle) != kLosslessSignature || *bits >> 29 != 0) {
    return std::nullopt;
  }
  return ImageSize{static_cast<int>(*bits & 0x3FFF) + 1,
                   static_cast<int>(*bits >> 14 & 0x3FFF) + 1};
}

class WebpWalk {
 public:
  WebpWalk(std::string_view bytes, const DecodeLimits& limits) : bytes_(bytes), limits_(limits) {}

  absl::StatusOr<ImageHeader> Run() {
    const size_t riff_bytes = size_t{*ReadUint(bytes_, 4, 4, ByteOrder::kLittle)} + 8;
    if (riff_bytes < kRiffHeaderBytes || riff_bytes > bytes_.size()) {
      return Corrupt(fmt::format("it says {} bytes and has {}", riff_bytes, bytes_.size()));
    }
    bytes_ = bytes_.substr(0, riff_bytes);
    size_t offset = kRiffHeaderBytes;
    while (offset < bytes_.size()) {
      const auto type = Slice(bytes_, offset, 4);
      const auto length = ReadUint(bytes_, offset + 4, 4, ByteOrder::kLittle);
      if (!length) return Corrupt("it ends within a chunk's header");
      const auto data = Slice(bytes_, offset + 8, *length);
      if (!data) return Corrupt(fmt::format("a chunk of {} bytes does not fit", *length));
      if (absl::Status status = TakeChunk(*type, *data); !status.ok()) return status;
      offset += 8 + size_t{*length} + (*length & 1);
    }
    return Finish();
  }

 private:
  absl::Status TakeChunk(std::string_view type, std::string_view data) {
    if (type == "ANIM" || type == "ANMF") return Animated();
    if (type == "VP8X") return TakeCanvas(data);
    if (type == "VP8 ") return TakeImage(LossySize(data));
    if (type == "VP8L") return TakeImage(LosslessSize(data));
    if (type == "EXIF" && canvas_) header_.exif_orientation = ParseExifOrientation(data);
    return absl::OkStatus();
  }

  absl::Status TakeCanvas(std::string_view data) {
    const auto flags = ReadUint(data, 0, 1, ByteOrder::kLittle);
    const auto width = ReadUint(data, 4, 3, ByteOrder::kLittle);
    const auto height = ReadUint(data, 7, 3, ByteOrder::kLittle);
    if (!height || canvas_ || has_image_) return Corrupt("its VP8X chunk is malformed");
    if ((*flags & kAnimationFlag) != 0) return Animated();
    canvas_ = ImageSize{static_cast<int>(*width) + 1, static_cast<int>(*height) + 1};
    return CheckDimensions(ImageFormat::kWebp, canvas_->width, canvas_->height, limits_);
  }

  absl::Status TakeImage(std::optional<ImageSize> size) {
    if (!size) return Corrupt("its frame header is malformed");
    if (has_image_) return Corrupt("it has two images in it");
    if (canvas_ && *canvas_ != *size) return Corrupt("canvas and image differ in size");
    has_image_ = true;
    header_.size = *size;
    return CheckDimensions(ImageFormat::kWebp, size->width, size->height, limits_);
  }

  absl::StatusOr<ImageHeader> Finish() const {
    if (!has_image_) return Corrupt("it has no image in it");
    return header_;
  }

  std::string_view bytes_;
  const DecodeLimits& limits_;
  ImageHeader header_{.format = ImageFormat::kWebp, .needs_second_buffer = true};
  std::optional<ImageSize> canvas_;
  bool has_image_ = false;
};

}  // namespace

absl::StatusOr<ImageHeader> ParseWebpHeader(std::string_view bytes, const DecodeLimits& limits) {
  return WebpWalk(bytes, limits).Run();
}

}  // namespace emotion::vision

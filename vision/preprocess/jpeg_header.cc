// Walks the markers of a JPEG exactly as libjpeg does, so that the two agree on what a scan is.
#include <cstring>
#include <optional>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/byte_reader.h"
#include "vision/preprocess/exif_orientation.h"
#include "vision/preprocess/header_parsers.h"

namespace emotion::vision {
namespace {

constexpr uint8_t kTem = 0x01, kSof0 = 0xC0, kSof2 = 0xC2, kSof15 = 0xCF, kDht = 0xC4, kJpg = 0xC8,
                  kDac = 0xCC, kRst0 = 0xD0, kRst7 = 0xD7, kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA,
                  kApp1 = 0xE1;
constexpr std::string_view kExifPrefix("Exif\0\0", 6);

absl::Status Corrupt(std::string_view what) {
  return Error(Reason::kImageCorrupt, fmt::format("JPEG is corrupt: {}", what));
}

absl::Status Unsupported(std::string_view what) {
  return Error(Reason::kImageUnsupported, fmt::format("JPEG is not supported: {}", what));
}

bool IsFrameMarker(uint8_t marker) {
  return marker >= kSof0 && marker <= kSof15 && marker != kDht && marker != kJpg && marker != kDac;
}

bool HasNoParameters(uint8_t marker) {
  return marker == kTem || (marker >= kRst0 && marker <= kRst7);
}

class JpegWalk {
 public:
  JpegWalk(std::string_view bytes, const DecodeLimits& limits) : bytes_(bytes), limits_(limits) {}

  absl::StatusOr<ImageHeader> Run() {
    while (true) {
      const auto marker = NextMarker();
      if (!marker) return Corrupt("it ends before its end marker");
      if (HasNoParameters(*marker)) continue;
      if (*marker == kEoi) return Finish();
      if (*marker == kSoi) return Corrupt("it has a second start marker");
      const auto segment = NextSegment();
      if (!segment) {
        return Corrupt(fmt::format("the segment of marker 0x{:02X} does not fit", *marker));
      }
      if (absl::Status status = TakeSegment(*marker, *segment); !status.ok()) return status;
    }
  }

 private:
  // Skips to the next marker, over stray bytes, fill bytes and entropy-coded data.
  std::optional<uint8_t> NextMarker() {
    while (position_ < bytes_.size()) {
      const size_t prefix = bytes_.find('\xFF', position_);
      if (prefix == std::string_view::npos) return std::nullopt;
      const size_t code = bytes_.find_first_not_of('\xFF', prefix);
      if (code == std::string_view::npos) return std::nullopt;
      position_ = code + 1;
      if (bytes_[code] != 0) return static_cast<uint8_t>(bytes_[code]);
    }
    return std::nullopt;
  }

  std::optional<std::string_view> NextSegment() {
    const auto length = ReadUint(bytes_, position_, 2, ByteOrder::kBig);
    if (!length || *length < 2) return std::nullopt;
    const auto segment = Slice(bytes_, position_ + 2, *length - 2);
    position_ += *length;
    return segment;
  }

  absl::Status TakeSegment(uint8_t marker, std::string_view segment) {
    if (IsFrameMarker(marker)) return TakeFrame(marker, segment);
    if (marker == kSos) return TakeScan();
    if (marker == kApp1 && !has_exif_ && segment.starts_with(kExifPrefix)) {
      has_exif_ = true;
      header_.exif_orientation = ParseExifOrientation(segment);
    }
    return absl::OkStatus();
  }

  absl::Status TakeFrame(uint8_t marker, std::string_view segment) {
    if (has_frame_) return Corrupt("it has two frame headers");
    if (marker > kSof2) {
      return Unsupported(fmt::format(
          "coding process SOF{} (arithmetic, lossless or hierarchical); send baseline or "
          "progressive",
          marker - kSof0));
    }
    const auto precision = ReadUint(segment, 0, 1, ByteOrder::kBig);
    const auto height = ReadUint(segment, 1, 2, ByteOrder::kBig);
    const auto width = ReadUint(segment, 3, 2, ByteOrder::kBig);
    const auto components = ReadUint(segment, 5, 1, ByteOrder::kBig);
    if (!components || segment.size() != 6 + size_t{*components} * 3) {
      return Corrupt("its frame header has the wrong length");
    }
    if (*precision != 8) {
      return Unsupported(fmt::format("{} bits a sample; send 8", *precision));
    }
    if (absl::Status status = CheckComponents(*components); !status.ok()) return status;
    has_frame_ = true;
    header_.needs_second_buffer = marker == kSof2;
    header_.size = {static_cast<int>(*width), static_cast<int>(*height)};
    return CheckDimensions(ImageFormat::kJpeg, *width, *height, limits_);
  }

  static absl::Status CheckComponents(uint32_t components) {
    if (components == 1 || components == 3) return absl::OkStatus();
    if (components == 4) return Unsupported("four components (CMYK or YCCK); send RGB or grey");
    return Unsupported(fmt::format("{} components; send 1 (grey) or 3 (colour)", components));
  }

  absl::Status TakeScan() {
    if (!has_frame_) return Corrupt("a scan comes before the frame header");
    if (++scans_ > limits_.max_jpeg_scans) {
      return Unsupported(fmt::format("more than {} scans", limits_.max_jpeg_scans));
    }
    if (scans_ > 1) header_.needs_second_buffer = true;
    return absl::OkStatus();
  }

  absl::StatusOr<ImageHeader> Finish() const {
    if (!has_frame_ || scans_ == 0) return Corrupt("it has no image in it");
    return header_;
  }

  std::string_view bytes_;
  const DecodeLimits& limits_;
  size_t position_ = 2;  // after the start marker
  ImageHeader header_{.format = ImageFormat::kJpeg};
  bool has_frame_ = false;
  bool has_exif_ = false;
  int scans_ = 0;
};

}  // namespace

absl::StatusOr<ImageHeader> ParseJpegHeader(std::string_view bytes, const DecodeLimits& limits) {
  return JpegWalk(bytes, limits).Run();
}

}  // namespace emotion::vision

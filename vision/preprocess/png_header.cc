#include <algorithm>
#include <optional>

#include <zlib.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/byte_reader.h"
#include "vision/preprocess/exif_orientation.h"
#include "vision/preprocess/header_parsers.h"

namespace emotion::vision {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr size_t kMaxAncillaryBytes = size_t{1} << 20;
constexpr size_t kMaxPaletteBytes = 256 * 3;
constexpr uint32_t kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgbAlpha = 6;

absl::Status Corrupt(std::string_view what) {
  return Error(Reason::kImageCorrupt, fmt::format("PNG is corrupt: {}", what));
}

absl::Status Unsupported(std::string_view what) {
  return Error(Reason::kImageUnsupported, fmt::format("PNG is not supported: {}", what));
}

struct Chunk {
  std::string_view type;  // four letters
  std::string_view data;
  uint32_t crc = 0;
};

// The chunk at `offset`, which moves behind it; nullopt where the file ends too early.
std::optional<Chunk> NextChunk(std::string_view bytes, size_t& offset) {
  const auto length = ReadUint(bytes, offset, 4, ByteOrder::kBig);
  const auto type = Slice(bytes, offset + 4, 4);
  if (!length || !type) return std::nullopt;
  const auto data = Slice(bytes, offset + 8, *length);
  const auto crc = ReadUint(bytes, offset + 8 + *length, 4, ByteOrder::kBig);
  if (!data || !crc) return std::nullopt;
  offset += kChunkOverhead + *length;
  return Chunk{*type, *data, *crc};
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsAncillary(const Chunk& chunk) { return (chunk.type[0] & 0x20) != 0; }

bool CrcFits(const Chunk& chunk) {
  const auto* begin = reinterpret_cast<const Bytef*>(chunk.type.data());
  return crc32(0, begin, static_cast<uInt>(chunk.type.size() + chunk.data.size())) == chunk.crc;
}

bool IsLegalDepth(uint32_t colour_type, uint32_t depth) {
  switch (colour_type) {
    case kGrey:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case kPalette:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case kRgb:
    case kGreyAlpha:
    case kRgbAlpha:
      return depth == 8 || depth == 16;
    default:
      return false;
  }
}

class PngWalk {
 public:
  PngWalk(std::string_view bytes, const DecodeLimits& limits) : bytes_(bytes), limits_(limits) {}

  absl::StatusOr<ImageHeader> Run() {
    size_t offset = kSignatureBytes;
    const auto first = NextChunk(bytes_, offset);
    if (!first) return Corrupt("it ends within its header");
    if (absl::Status status = TakeHeader(*first); !status.ok()) return status;
    while (true) {
      const auto chunk = NextChunk(bytes_, offset);
      if (!chunk) return Corrupt("it ends before its IEND chunk");
      if (chunk->type == "IEND") return Finish();
      if (absl::Status status = TakeChunk(*chunk); !status.ok()) return status;
    }
  }

 private:
  absl::Status TakeHeader(const Chunk& chunk) {
    if (chunk.type != "IHDR" || chunk.data.size() != 13) return Corrupt("it has no IHDR chunk");
    if (!CrcFits(chunk)) return Corrupt("the checksum of its IHDR chunk is wrong");
    const uint32_t width = *ReadUint(chunk.data, 0, 4, ByteOrder::kBig);
    const uint32_t height = *ReadUint(chunk.data, 4, 4, ByteOrder::kBig);
    const auto field = [&](size_t at) { return *ReadUint(chunk.data, at, 1, ByteOrder::kBig); };
    const uint32_t depth = field(8);
    colour_type_ = field(9);
    if (!IsLegalDepth(colour_type_, depth) || field(10) != 0 || field(11) != 0 || field(12) > 1) {
      return Corrupt(
          fmt::format("colour type {} with {} bits is none of PNG's", colour_type_, depth));
    }
    if (depth == 16) return Unsupported("16 bits a channel; send 8");
    header_.size = {static_cast<int>(width), static_cast<int>(height)};
    return CheckDimensions(ImageFormat::kPng, width, height, limits_);
  }

  absl::Status TakeChunk(const Chunk& chunk) {
    if (!std::all_of(chunk.type.begin(), chunk.type.end(), IsLetter)) {
      return Corrupt("a chunk's type is not four letters");
    }
    if (IsAncillary(chunk)) return TakeAncillary(chunk);
    if (chunk.type == "PLTE") return TakePalette(chunk);
    if (chunk.type != "IDAT") {
      return Corrupt(fmt::format("unknown critical chunk {}", chunk.type));
    }
    if (colour_type_ == kPalette && !has_palette_) return Corrupt("its palette is missing");
    has_data_ = true;
    return absl::OkStatus();
  }

  absl::Status TakePalette(const Chunk& chunk) {
    const size_t size = chunk.data.size();
    if (has_palette_ || has_data_ || size == 0 || size % 3 != 0 || size > kMaxPaletteBytes) {
      return Corrupt(fmt::format("a palette of {} bytes, or in the wrong place", size));
    }
    has_palette_ = true;
    return absl::OkStatus();
  }

  absl::Status TakeAncillary(const Chunk& chunk) {
    if (chunk.type == "acTL" || chunk.type == "fcTL" || chunk.type == "fdAT") {
      return Unsupported("an animation (APNG); send a still image");
    }
    if (chunk.data.size() > kMaxAncillaryBytes) {
      return Unsupported(fmt::format("chunk {} has {} bytes; at most {} are taken", chunk.type,
                                     chunk.data.size(), kMaxAncillaryBytes));
    }
    if (chunk.type == "eXIf") header_.exif_orientation = ParseExifOrientation(chunk.data);
    return absl::OkStatus();
  }

  absl::StatusOr<ImageHeader> Finish() const {
    if (!has_data_) return Corrupt("it has no image in it");
    return header_;
  }

  std::string_view bytes_;
  const DecodeLimits& limits_;
  ImageHeader header_{.format = ImageFormat::kPng};
  uint32_t colour_type_ = 0;
  bool has_palette_ = false;
  bool has_data_ = false;
};

}  // namespace

absl::StatusOr<ImageHeader> ParsePngHeader(std::string_view bytes, const DecodeLimits& limits) {
  return PngWalk(bytes, limits).Run();
}

}  // namespace emotion::vision

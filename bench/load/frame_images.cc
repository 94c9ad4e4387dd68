#include "bench/load/frame_images.h"

#include <algorithm>

namespace emotion::bench {
namespace {

constexpr std::string_view kStart = "\xff\xd8";
constexpr uint8_t kTables = 0xdb;
constexpr uint8_t kScan = 0xda;

uint8_t ByteAt(const std::string& bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

// Spreads neighbouring numbers (splitmix64).
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

// Where the first table's 64 bytes begin; npos: there is none of 8 bits before the scan.
size_t FindTable(const std::string& jpeg) {
  size_t at = kStart.size();
  while (at + 5 <= jpeg.size() && ByteAt(jpeg, at) == 0xff && ByteAt(jpeg, at + 1) != kScan) {
    const size_t length = ByteAt(jpeg, at + 2) * size_t{256} + ByteAt(jpeg, at + 3);
    const bool whole = at + 2 + length <= jpeg.size() && length >= 67;
    if (ByteAt(jpeg, at + 1) == kTables) {
      return whole && (ByteAt(jpeg, at + 4) >> 4) == 0 ? at + 5 : std::string::npos;
    }
    at += 2 + length;
  }
  return std::string::npos;
}

void Raise(char& quantiser, uint64_t by) {
  quantiser = static_cast<char>(std::min<uint64_t>(255, static_cast<uint8_t>(quantiser) + by));
}

void AppendNumber(std::string& out, uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}

}  // namespace

absl::StatusOr<FrameImages> FrameImages::FromJpeg(std::string jpeg) {
  const size_t table = jpeg.starts_with(kStart) ? FindTable(jpeg) : std::string::npos;
  if (table == std::string::npos) {
    return absl::InvalidArgumentError("the picture must be a JPEG with 8-bit quantisers");
  }
  jpeg.erase(0, kStart.size());
  return FrameImages(std::move(jpeg), table - kStart.size());
}

std::string FrameImages::Make(uint64_t picture, uint32_t nuance) const {
  constexpr std::string_view kComment{"\xff\xd8\xff\xfe\x00\x0e", 6};  // of 12 bytes
  std::string out;
  out.reserve(kComment.size() + 12 + jpeg_.size());
  out += kComment;
  AppendNumber(out, picture, 8);
  AppendNumber(out, nuance, 4);
  const size_t table = out.size() + table_;
  out += jpeg_;
  // Low frequencies, two bits each, make another picture; one in the middle hardly shows.
  uint64_t bits = Mix(picture);
  for (size_t i = 0; i < 12; ++i, bits >>= 2) Raise(out[table + i], i == 0 ? bits & 1 : bits & 3);
  Raise(out[table + 20], nuance % 8);
  return out;
}

}  // namespace emotion::bench

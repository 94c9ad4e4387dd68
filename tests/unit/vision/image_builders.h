// Images for tests, sound and hostile, built byte by byte or by the plain encoders.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vision/preprocess/image.h"

namespace emotion::vision::testing {

// The file tests/data/images/`name`.
std::string ReadTestImage(const std::string& name);

// A picture with detail in it: another value for every pixel and channel.
RgbImage MakePattern(ImageSize size);
RgbImage MakeFlat(ImageSize size, uint8_t value);

struct JpegOptions {
  int components = 3;  // 1: grey, 4: CMYK
  bool progressive = false;
  bool arithmetic = false;
  int quality = 80;
};
std::string MakeJpeg(const RgbImage& image, const JpegOptions& options = JpegOptions());

// A marker segment with its length, and the file with `segment` put behind the start marker.
std::string JpegSegment(uint8_t marker, std::string_view payload);
std::string InsertIntoJpeg(std::string_view jpeg, std::string_view segment);

// The same progressive picture with its last scan repeated until there are `scans` of them.
std::string WithScans(std::string_view progressive, int scans);

struct PngHeader {
  uint32_t width = 1;
  uint32_t height = 1;
  uint8_t depth = 8;
  uint8_t colour_type = 2;
};
std::string PngChunk(std::string_view type, std::string_view data);
// All pixels zero, `extra` chunks between IHDR and the data.
std::string MakePng(const PngHeader& header, std::string_view extra = "");
std::string MakePng(const RgbImage& image, std::string_view extra = "");

std::string MakeWebp(const RgbImage& image, bool lossless);
// RIFF container around chunks; WebpChunk pads to even length.
std::string WebpChunk(std::string_view type, std::string_view data);
std::string WebpFile(std::string_view chunks);
std::string WebpCanvas(ImageSize size, uint8_t flags);

// An EXIF block with an orientation tag in it, beginning at the TIFF header.
std::string MakeExif(uint16_t orientation, bool little_endian);

}  // namespace emotion::vision::testing

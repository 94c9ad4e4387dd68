#include "tests/unit/vision/image_builders.h"

#include <cstdio>
// jpeglib.h needs FILE from before it.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include <jpeglib.h>
#include <webp/encode.h>
#include <zlib.h>

namespace emotion::vision::testing {
namespace {

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

std::string LittleEndian(uint32_t value, int bytes) {
  const std::string text = BigEndian(value, bytes);
  return {text.rbegin(), text.rend()};
}

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1A\n";

std::string Deflate(const std::string& raw) {
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
            reinterpret_cast<const Bytef*>(raw.data()), raw.size(), 9);
  packed.resize(size);
  return packed;
}

std::string PngFile(const PngHeader& header, std::string_view extra, const std::string& raw) {
  std::string ihdr = BigEndian(header.width, 4) + BigEndian(header.height, 4);
  ihdr += {static_cast<char>(header.depth), static_cast<char>(header.colour_type), 0, 0, 0};
  return std::string(kPngSignature) + PngChunk("IHDR", ihdr) + std::string(extra) +
         PngChunk("IDAT", Deflate(raw)) + PngChunk("IEND", "");
}

}  // namespace

std::string ReadTestImage(const std::string& name) {
  std::ifstream file(EMOTION_TEST_DATA "/images/" + name, std::ios::binary);
  if (!file) throw std::runtime_error("no test image " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

RgbImage MakePattern(ImageSize size) {
  RgbImage image{size, {}};
  uint32_t state = 12345;
  for (int i = 0; i < size.width * size.height * 3; ++i) {
    state = state * 1664525 + 1013904223;
    image.pixels.push_back(static_cast<uint8_t>(state >> 24));
  }
  return image;
}

RgbImage MakeFlat(ImageSize size, uint8_t value) {
  return {size, std::vector<uint8_t>(static_cast<size_t>(size.width) * size.height * 3, value)};
}

std::string MakeJpeg(const RgbImage& image, const JpegOptions& options) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(image.size.width);
  info.image_height = static_cast<JDIMENSION>(image.size.height);
  info.input_components = options.components;
  info.in_color_space = options.components == 4   ? JCS_CMYK
                        : options.components == 1 ? JCS_GRAYSCALE
                                                  : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, options.quality, TRUE);
  if (options.progressive) jpeg_simple_progression(&info);
  info.arith_code = options.arithmetic ? TRUE : FALSE;
  jpeg_start_compress(&info, TRUE);
  // Fewer or more components than the picture has: whatever bytes come, the kind is what matters.
  std::vector<uint8_t> row(static_cast<size_t>(image.size.width) * 4);
  while (info.next_scanline < info.image_height) {
    const auto* begin = &image.pixels[size_t{info.next_scanline} * image.size.width * 3];
    std::copy(begin, begin + image.size.width * 3, row.begin());
    JSAMPROW rows = row.data();
    jpeg_write_scanlines(&info, &rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string bytes(reinterpret_cast<char*>(buffer), size);
  std::free(buffer);
  return bytes;
}

std::string JpegSegment(uint8_t marker, std::string_view payload) {
  return std::string{'\xFF', static_cast<char>(marker)} +
         BigEndian(static_cast<uint32_t>(payload.size() + 2), 2) + std::string(payload);
}

std::string InsertIntoJpeg(std::string_view jpeg, std::string_view segment) {
  return std::string(jpeg.substr(0, 2)) + std::string(segment) + std::string(jpeg.substr(2));
}

std::string WithScans(std::string_view progressive, int scans) {
  std::string bytes(progressive);
  int found = 0;
  size_t last = 0;
  for (size_t at = bytes.find("\xFF\xDA"); at != std::string::npos;
       at = bytes.find("\xFF\xDA", at + 2)) {
    ++found;
    last = at;
  }
  const size_t end = bytes.rfind("\xFF\xD9");
  const std::string scan = bytes.substr(last, end - last);
  std::string repeats;
  for (; found < scans; ++found) repeats += scan;
  return bytes.insert(end, repeats);
}

std::string PngChunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return BigEndian(static_cast<uint32_t>(data.size()), 4) + body +
         BigEndian(static_cast<uint32_t>(crc), 4);
}

std::string MakePng(const PngHeader& header, std::string_view extra) {
  const int channels = header.colour_type == 2 ? 3 : header.colour_type == 6 ? 4 : 1;
  const size_t row = 1 + (size_t{header.width} * channels * header.depth + 7) / 8;
  return PngFile(header, extra, std::string(row * header.height, '\0'));
}

std::string MakePng(const RgbImage& image, std::string_view extra) {
  std::string raw;
  const size_t row = static_cast<size_t>(image.size.width) * 3;
  for (size_t y = 0; y < static_cast<size_t>(image.size.height); ++y) {
    raw.push_back('\0');
    raw.append(reinterpret_cast<const char*>(&image.pixels[y * row]), row);
  }
  return PngFile(
      {static_cast<uint32_t>(image.size.width), static_cast<uint32_t>(image.size.height)}, extra,
      raw);
}

std::string MakeWebp(const RgbImage& image, bool lossless) {
  uint8_t* out = nullptr;
  const int stride = image.size.width * 3;
  const size_t size = lossless ? WebPEncodeLosslessRGB(image.pixels.data(), image.size.width,
                                                       image.size.height, stride, &out)
                               : WebPEncodeRGB(image.pixels.data(), image.size.width,
                                               image.size.height, stride, 80, &out);
  std::string bytes(reinterpret_cast<char*>(out), size);
  WebPFree(out);
  return bytes;
}

std::string WebpChunk(std::string_view type, std::string_view data) {
  std::string chunk = std::string(type) + LittleEndian(static_cast<uint32_t>(data.size()), 4);
  chunk += data;
  if (data.size() % 2 != 0) chunk.push_back('\0');
  return chunk;
}

std::string WebpFile(std::string_view chunks) {
  return "RIFF" + LittleEndian(static_cast<uint32_t>(chunks.size() + 4), 4) + "WEBP" +
         std::string(chunks);
}

std::string WebpCanvas(ImageSize size, uint8_t flags) {
  return WebpChunk("VP8X", std::string{static_cast<char>(flags), 0, 0, 0} +
                               LittleEndian(static_cast<uint32_t>(size.width - 1), 3) +
                               LittleEndian(static_cast<uint32_t>(size.height - 1), 3));
}

std::string MakeExif(uint16_t orientation, bool little_endian) {
  const auto number = little_endian ? LittleEndian : BigEndian;
  std::string tiff = little_endian ? std::string("II*\0", 4) : std::string("MM\0*", 4);
  tiff += number(8, 4) + number(2, 2);                                       // two entries
  tiff += number(0x0100, 2) + number(4, 2) + number(1, 4) + number(640, 4);  // ImageWidth
  tiff += number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + number(0, 2);
  return tiff + number(0, 4);
}

}  // namespace emotion::vision::testing

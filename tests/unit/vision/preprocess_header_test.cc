// InspectImage: what is refused, with which reason, before a pixel is allocated.
#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/vision/image_builders.h"
#include "vision/preprocess/exif_orientation.h"
#include "vision/preprocess/image_header.h"

namespace emotion::vision {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

Reason Refusal(std::string_view bytes, const DecodeLimits& limits = DecodeLimits()) {
  return ReasonOf(InspectImage(bytes, limits).status());
}

std::string Message(std::string_view bytes) {
  return std::string(InspectImage(bytes, DecodeLimits()).status().message());
}

ImageHeader Accept(std::string_view bytes) {
  const auto header = InspectImage(bytes, DecodeLimits());
  INFO(header.status().message());
  REQUIRE(header.ok());
  return *header;
}

}  // namespace

TEST_CASE("what is no image is unsupported, and the message shows how it begins") {
  CHECK(Refusal("") == Reason::kImageUnsupported);
  CHECK(Refusal("\xFF\xD8") == Reason::kImageUnsupported);
  CHECK(Refusal("GIF89a........") == Reason::kImageUnsupported);
  CHECK(Refusal("RIFF\x10\0\0\0WAVEfmt ") == Reason::kImageUnsupported);
  CHECK(Message("GIF89a\x01\x02\x03") ==
        "image must be JPEG, PNG or WebP; it begins with 47 49 46 38 39 61 01 02");
}

TEST_CASE("the three formats say their size") {
  const RgbImage pattern = MakePattern({31, 17});
  CHECK(Accept(MakeJpeg(pattern)).size == ImageSize{31, 17});
  CHECK(Accept(MakePng(pattern)).size == ImageSize{31, 17});
  CHECK(Accept(MakeWebp(pattern, false)).size == ImageSize{31, 17});
  CHECK(Accept(MakeWebp(pattern, true)).size == ImageSize{31, 17});
  CHECK(Accept(MakeJpeg(pattern)).format == ImageFormat::kJpeg);
  CHECK(Accept(MakePng(pattern)).format == ImageFormat::kPng);
  CHECK(Accept(MakeWebp(pattern, true)).format == ImageFormat::kWebp);
}

TEST_CASE("more bytes than the limit are refused before anything is looked at") {
  const std::string bytes = MakePng(MakePattern({8, 8}));
  DecodeLimits limits{.max_bytes = bytes.size()};
  CHECK(InspectImage(bytes, limits).ok());
  limits.max_bytes = bytes.size() - 1;
  CHECK(Refusal(bytes, limits) == Reason::kImageTooLarge);
}

TEST_CASE("a side over 4096 pixels is refused, 4096 is taken") {
  CHECK(InspectImage(MakePng(PngHeader{4096, 4096, 1, 0}), DecodeLimits()).ok());
  CHECK(Refusal(MakePng(PngHeader{4097, 4096, 1, 0})) == Reason::kImageDimensions);
  CHECK(Refusal(MakePng(PngHeader{4096, 4097, 1, 0})) == Reason::kImageDimensions);
  CHECK(Refusal(MakeJpeg(MakeFlat({4097, 300}, 9))) == Reason::kImageDimensions);
  CHECK(Refusal(MakeWebp(MakeFlat({4097, 300}, 9), false)) == Reason::kImageDimensions);
  CHECK(Message(MakePng(PngHeader{4097, 4096, 1, 0})) ==
        "PNG is 4097 x 4096 pixels; a side must have 1 to 4096");
}

TEST_CASE("a PNG of 20000 x 20000 pixels in 48 KB is refused by its header") {
  const std::string bomb = MakePng(PngHeader{20000, 20000, 1, 0});
  CHECK(bomb.size() < 64 * 1024);
  CHECK(Refusal(bomb) == Reason::kImageDimensions);
}

TEST_CASE("a side of 0 is refused") {
  CHECK(Refusal(MakePng(PngHeader{0, 5, 8, 2})) == Reason::kImageDimensions);
  std::string jpeg = MakeJpeg(MakePattern({16, 16}));
  const size_t frame = jpeg.find("\xFF\xC0");
  jpeg[frame + 5] = 0;
  jpeg[frame + 6] = 0;
  CHECK(Refusal(jpeg) == Reason::kImageDimensions);
}

TEST_CASE("an aspect ratio over 1:20 is refused, 1:20 is taken") {
  CHECK(InspectImage(MakePng(PngHeader{200, 10, 8, 2}), DecodeLimits()).ok());
  CHECK(Refusal(MakePng(PngHeader{201, 10, 8, 2})) == Reason::kImageDimensions);
  CHECK(Refusal(MakePng(PngHeader{10, 201, 8, 2})) == Reason::kImageDimensions);
}

TEST_CASE("a JPEG of 2,000 scans is refused, an ordinary progressive one is taken") {
  const std::string progressive = MakeJpeg(MakePattern({64, 64}), {.progressive = true});
  CHECK(Accept(progressive).needs_second_buffer);
  CHECK(InspectImage(WithScans(progressive, 64), DecodeLimits()).ok());
  CHECK(Refusal(WithScans(progressive, 65)) == Reason::kImageUnsupported);
  CHECK(Refusal(WithScans(progressive, 2000)) == Reason::kImageUnsupported);
  CHECK(Message(WithScans(progressive, 2000)) == "JPEG is not supported: more than 64 scans");
}

TEST_CASE("kinds of JPEG that are not decoded are unsupported") {
  const RgbImage pattern = MakePattern({24, 24});
  CHECK(Refusal(MakeJpeg(pattern, {.components = 4})) == Reason::kImageUnsupported);
  CHECK(Refusal(MakeJpeg(pattern, {.arithmetic = true})) == Reason::kImageUnsupported);
  const std::string jpeg = MakeJpeg(pattern);
  for (const char process : {'\xC3', '\xC5', '\xC9', '\xCB', '\xCF'}) {
    std::string other = jpeg;
    other[other.find("\xFF\xC0") + 1] = process;
    CHECK(Refusal(other) == Reason::kImageUnsupported);
  }
  std::string deep = jpeg;
  deep[deep.find("\xFF\xC0") + 4] = 12;
  CHECK(Refusal(deep) == Reason::kImageUnsupported);
}

TEST_CASE("kinds of PNG that are not decoded are unsupported") {
  CHECK(Refusal(MakePng(PngHeader{8, 8, 16, 2})) == Reason::kImageUnsupported);
  CHECK(Refusal(MakePng(PngHeader{8, 8, 16, 0})) == Reason::kImageUnsupported);
  const std::string animation = PngChunk("acTL", std::string("\0\0\0\2\0\0\0\0", 8));
  CHECK(Refusal(MakePng(MakePattern({8, 8}), animation)) == Reason::kImageUnsupported);
  const std::string large = PngChunk("iTXt", std::string((1 << 20) + 1, 'x'));
  CHECK(Refusal(MakePng(MakePattern({8, 8}), large)) == Reason::kImageUnsupported);
}

TEST_CASE("an animated WebP is unsupported") {
  const std::string still = MakeWebp(MakePattern({16, 16}), false).substr(12);
  CHECK(Refusal(WebpFile(WebpCanvas({16, 16}, 0x02) + WebpChunk("ANIM", std::string(6, '\0')))) ==
        Reason::kImageUnsupported);
  CHECK(Refusal(WebpFile(WebpCanvas({16, 16}, 0) + WebpChunk("ANMF", std::string(16, '\0')))) ==
        Reason::kImageUnsupported);
  CHECK(InspectImage(WebpFile(WebpCanvas({16, 16}, 0) + still), DecodeLimits()).ok());
  CHECK(Refusal(WebpFile(WebpCanvas({16, 17}, 0) + still)) == Reason::kImageCorrupt);
}

TEST_CASE("impossible PNG headers are corrupt") {
  CHECK(Refusal(MakePng(PngHeader{8, 8, 4, 2})) == Reason::kImageCorrupt);
  CHECK(Refusal(MakePng(PngHeader{8, 8, 8, 5})) == Reason::kImageCorrupt);
  CHECK(Refusal(MakePng(PngHeader{8, 8, 8, 3})) == Reason::kImageCorrupt);  // no palette
  std::string wrong_crc = MakePng(MakePattern({8, 8}));
  wrong_crc[8 + 8 + 13] ^= 1;
  CHECK(Refusal(wrong_crc) == Reason::kImageCorrupt);
  CHECK(Refusal(MakePng(MakePattern({8, 8}), PngChunk("QUUX", ""))) == Reason::kImageCorrupt);
}

TEST_CASE("a chunk or segment that says more than there is, is corrupt") {
  std::string png = MakePng(MakePattern({8, 8}));
  png[8 + 25] = '\x7F';  // the length of the chunk after IHDR
  CHECK(Refusal(png) == Reason::kImageCorrupt);
  std::string jpeg = MakeJpeg(MakePattern({8, 8}));
  jpeg[4] = '\xFF';  // the length of the first segment
  jpeg[5] = '\xFF';
  CHECK(Refusal(jpeg) == Reason::kImageCorrupt);
  std::string webp = MakeWebp(MakePattern({8, 8}), true);
  webp[18] = '\x7F';  // the length of the first chunk
  CHECK(Refusal(webp) == Reason::kImageCorrupt);
}

TEST_CASE("bytes after the end of an image are ignored") {
  for (const std::string& bytes : {MakeJpeg(MakePattern({8, 8})), MakePng(MakePattern({8, 8})),
                                   MakeWebp(MakePattern({8, 8}), true)}) {
    CHECK(Accept(bytes + "trailing \xFF\xDA\xFF\xD8").size == ImageSize{8, 8});
  }
}

TEST_CASE("EXIF orientations 1 to 8 are read in all formats and both byte orders") {
  const RgbImage pattern = MakePattern({8, 8});
  const std::string jpeg = MakeJpeg(pattern);
  const std::string webp = MakeWebp(pattern, false).substr(12);
  for (uint16_t orientation = 1; orientation <= 8; ++orientation) {
    for (const bool little_endian : {false, true}) {
      const std::string exif = MakeExif(orientation, little_endian);
      const std::string app1 = JpegSegment(0xE1, std::string("Exif\0\0", 6) + exif);
      CHECK(Accept(InsertIntoJpeg(jpeg, app1)).exif_orientation == orientation);
      CHECK(Accept(MakePng(pattern, PngChunk("eXIf", exif))).exif_orientation == orientation);
      CHECK(Accept(WebpFile(WebpCanvas({8, 8}, 0x08) + webp + WebpChunk("EXIF", exif)))
                .exif_orientation == orientation);
    }
  }
}

TEST_CASE("broken or odd EXIF means upright, never an error") {
  CHECK(ParseExifOrientation("") == 1);
  CHECK(ParseExifOrientation("II*") == 1);
  CHECK(ParseExifOrientation(MakeExif(0, true)) == 1);
  CHECK(ParseExifOrientation(MakeExif(9, true)) == 1);
  CHECK(ParseExifOrientation(std::string("II*\0\xFF\xFF\xFF\xFF", 8)) == 1);
  const std::string exif = MakeExif(6, false);
  // The tag's value ends at byte 32; whatever is cut before that loses the tag.
  for (size_t size = 0; size < 34; ++size) CHECK(ParseExifOrientation(exif.substr(0, size)) == 1);
  CHECK(ParseExifOrientation(exif) == 6);
}

TEST_CASE("every truncation of a sound file by sixteenths is corrupt") {
  const RgbImage pattern = MakePattern({64, 48});
  for (const std::string& bytes :
       {MakeJpeg(pattern), MakeJpeg(pattern, {.progressive = true}), MakePng(pattern),
        MakeWebp(pattern, false), MakeWebp(pattern, true), ReadTestImage("astronaut_face.jpg")}) {
    for (size_t i = 1; i < 16; ++i) {
      INFO(i << "/16 of " << bytes.size());
      CHECK(Refusal(std::string_view(bytes).substr(0, bytes.size() * i / 16)) ==
            Reason::kImageCorrupt);
    }
  }
}

}  // namespace emotion::vision

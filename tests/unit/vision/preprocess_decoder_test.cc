// DecodeImage and what stands around it: damaged data, orientation, memory.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/vision/image_builders.h"
#include "vision/preprocess/decode_budget.h"
#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/orientation.h"

namespace emotion::vision {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)
using std::chrono::steady_clock;

absl::StatusOr<RgbImage> InspectAndDecode(std::string_view bytes) {
  const auto header = InspectImage(bytes, DecodeLimits());
  if (!header.ok()) return header.status();
  return DecodeImage(bytes, *header);
}

RgbImage MustDecode(std::string_view bytes) {
  auto image = InspectAndDecode(bytes);
  INFO(image.status().message());
  REQUIRE(image.ok());
  return *std::move(image);
}

// The container stays sound and the compressed data ends early: only a decoder can notice.
std::string WithoutScanTail(std::string jpeg) {
  const size_t end = jpeg.rfind("\xFF\xD9");
  return jpeg.erase(end / 2, end - end / 2);
}

}  // namespace

TEST_CASE("lossless formats give back the pixels that went in") {
  const RgbImage pattern = MakePattern({37, 23});
  CHECK(MustDecode(MakePng(pattern)).pixels == pattern.pixels);
  CHECK(MustDecode(MakeWebp(pattern, true)).pixels == pattern.pixels);
}

TEST_CASE("a grey JPEG has three equal channels") {
  const RgbImage image = MustDecode(MakeJpeg(MakeFlat({20, 20}, 77), {.components = 1}));
  CHECK(std::all_of(image.pixels.begin(), image.pixels.end(),
                    [](uint8_t value) { return std::abs(value - 77) <= 1; }));
}

TEST_CASE("a JPEG of 4096 x 4096 pixels is taken") {
  const RgbImage image = MustDecode(MakeJpeg(MakeFlat({4096, 4096}, 100)));
  CHECK(image.size == ImageSize{4096, 4096});
  CHECK(image.pixels.size() == size_t{4096} * 4096 * 3);
}

TEST_CASE("compressed data that ends early is corrupt, never half an image") {
  const std::string jpeg = MakeJpeg(MakePattern({64, 64}));
  CHECK(ReasonOf(InspectAndDecode(WithoutScanTail(jpeg)).status()) == Reason::kImageCorrupt);
  const std::string progressive = MakeJpeg(MakePattern({64, 64}), {.progressive = true});
  CHECK(ReasonOf(InspectAndDecode(WithoutScanTail(progressive)).status()) == Reason::kImageCorrupt);

  // A PNG whose data is that of a smaller picture.
  const std::string small = MakePng(PngHeader{16, 8, 8, 2});
  std::string png = MakePng(PngHeader{16, 16, 8, 2});
  const size_t data = 8 + 25;  // signature, IHDR
  png = png.substr(0, data) + small.substr(data);
  CHECK(ReasonOf(InspectAndDecode(png).status()) == Reason::kImageCorrupt);
}

TEST_CASE("a wrong checksum in a PNG's data is corrupt") {
  std::string png = MakePng(MakePattern({16, 16}));
  png[png.size() - 12 - 4 - 10] ^= 0x10;  // within IDAT
  CHECK(ReasonOf(InspectAndDecode(png).status()) == Reason::kImageCorrupt);
}

TEST_CASE("damage in the middle of a WebP is an error or a picture, never a crash") {
  std::string webp = MakeWebp(MakePattern({64, 64}), true);
  for (size_t at = 30; at < webp.size(); at += 101) {
    std::string damaged = webp;
    damaged[at] ^= 0x55;
    const auto image = InspectAndDecode(damaged);
    if (!image.ok()) CHECK(ReasonOf(image.status()) == Reason::kImageCorrupt);
  }
}

TEST_CASE("garbage in profiles and texts does not matter: they are never read") {
  const RgbImage pattern = MakePattern({16, 16});
  const std::string profile = PngChunk("iCCP", "name\0\0 this is not deflate data");
  const std::string text = PngChunk("zTXt", std::string("a\0\0", 3) + std::string(1000, 'z'));
  CHECK(MustDecode(MakePng(pattern, profile + text)).pixels == pattern.pixels);
  const std::string jpeg = MakeJpeg(pattern);
  const std::string garbage =
      JpegSegment(0xE2, std::string("ICC_PROFILE\0\x01\x01", 14) + std::string(500, '\xAB'));
  CHECK(MustDecode(InsertIntoJpeg(jpeg, garbage)).pixels == MustDecode(jpeg).pixels);
}

TEST_CASE("stray bytes before a JPEG's end marker, as webcams write them, are taken") {
  std::string jpeg = MakeJpeg(MakePattern({32, 32}));
  const RgbImage clean = MustDecode(jpeg);
  jpeg.insert(jpeg.rfind("\xFF\xD9"), std::string("\0\0\0", 3));
  CHECK(MustDecode(jpeg).pixels == clean.pixels);
}

TEST_CASE("a header of another image is noticed by every decoder") {
  const RgbImage pattern = MakePattern({16, 16});
  for (const std::string& bytes :
       {MakeJpeg(pattern), MakePng(pattern), MakeWebp(pattern, false), MakeWebp(pattern, true)}) {
    auto header = InspectImage(bytes, DecodeLimits());
    REQUIRE(header.ok());
    header->size = {15, 16};
    CHECK(ReasonOf(DecodeImage(bytes, *header).status()) == Reason::kImageCorrupt);
  }
}

TEST_CASE("turning twice by the inverse orientation gives the image back") {
  const RgbImage pattern = MakePattern({7, 4});
  const int inverse[] = {1, 2, 3, 4, 5, 8, 7, 6};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const RgbImage turned = ApplyExifOrientation(pattern, orientation);
    CHECK(turned.size == OrientedSize(pattern.size, orientation));
    CHECK(ApplyExifOrientation(turned, inverse[orientation - 1]).pixels == pattern.pixels);
  }
  CHECK(ApplyExifOrientation(pattern, 0).pixels == pattern.pixels);
  CHECK(ApplyExifOrientation(pattern, 9).pixels == pattern.pixels);
}

TEST_CASE("decode memory: a second image waits until the first gives its bytes back") {
  DecodeBudget budget(100);
  auto first = budget.Acquire(80, steady_clock::now());
  REQUIRE(first.ok());
  CHECK(ReasonOf(budget.Acquire(30, steady_clock::now()).status()) == Reason::kQueueFull);
  CHECK(budget.bytes_in_use() == 80);
  std::jthread other([&] {
    const auto second = budget.Acquire(30, steady_clock::time_point::max());
    CHECK(second.ok());
  });
  *first = DecodeBudget::Hold();
  other.join();
  CHECK(budget.bytes_in_use() == 0);
}

TEST_CASE("decode memory: an image over the capacity is decoded alone") {
  DecodeBudget budget(100);
  const auto large = budget.Acquire(5000, steady_clock::now());
  REQUIRE(large.ok());
  CHECK(budget.bytes_in_use() == 100);
  CHECK(!budget.Acquire(1, steady_clock::now()).ok());
}

}  // namespace emotion::vision

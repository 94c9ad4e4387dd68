// vision/preprocess against Pillow and transformers, by the goldens of make_preprocess_goldens.py.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/orientation.h"
#include "vision/preprocess/patchify.h"
#include "vision/preprocess/resize_bicubic.h"
#include "vision/preprocess/smart_resize.h"

namespace emotion::vision {
namespace {

const std::string kGoldens = EMOTION_TEST_DATA "/parity/preprocess/";

std::string ReadGolden(const std::string& name) {
  std::ifstream file(kGoldens + name, std::ios::binary);
  INFO(name);
  REQUIRE(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<uint8_t> ReadPixels(const std::string& name) {
  const std::string bytes = ReadGolden(name);
  return {bytes.begin(), bytes.end()};
}

std::vector<float> ReadFloats(const std::string& name) {
  const std::string bytes = ReadGolden(name);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// The lines of cases.txt that begin with `kind`, without it.
std::vector<std::string> Cases(const std::string& kind) {
  std::istringstream text(ReadGolden("cases.txt"));
  std::vector<std::string> cases;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(kind + " ")) cases.push_back(line.substr(kind.size() + 1));
  }
  REQUIRE(!cases.empty());
  return cases;
}

RgbImage Decode(const std::string& name) {
  const std::string bytes = ReadGolden(name);
  const auto header = InspectImage(bytes, DecodeLimits());
  REQUIRE(header.ok());
  auto image = DecodeImage(bytes, *header);
  INFO(image.status().message());
  REQUIRE(image.ok());
  return *std::move(image);
}

// What Pillow decoded, whatever our decoder says.
RgbImage GoldenImage(const std::string& name) {
  for (const std::string& line : Cases("decode")) {
    std::istringstream fields(line);
    std::string file;
    ImageSize size;
    fields >> file >> size.width >> size.height;
    if (file == name) return {size, ReadPixels(name + ".rgb")};
  }
  FAIL("no golden of " << name);
  return {};
}

struct Difference {
  int most = 0;
  double share = 0;  // of the values that differ at all
};

Difference Compare(const std::vector<uint8_t>& ours, const std::vector<uint8_t>& golden) {
  REQUIRE(ours.size() == golden.size());
  Difference difference;
  size_t differing = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const int step = std::abs(ours[i] - golden[i]);
    difference.most = std::max(difference.most, step);
    differing += step != 0;
  }
  difference.share = static_cast<double>(differing) / static_cast<double>(ours.size());
  return difference;
}

}  // namespace

TEST_CASE("decoding equals Pillow: PNG bit for bit, JPEG within one step in 0.1 % of values") {
  for (const std::string& line : Cases("decode")) {
    std::istringstream fields(line);
    std::string file;
    std::string exactness;
    ImageSize size;
    fields >> file >> size.width >> size.height >> exactness;
    const RgbImage image = Decode(file);
    const Difference difference = Compare(image.pixels, ReadPixels(file + ".rgb"));
    INFO(file << ": " << difference.most << " steps, " << difference.share * 100 << " %");
    CHECK(image.size == size);
    CHECK(difference.most <= (exactness == "exact" ? 0 : 1));
    CHECK(difference.share <= (exactness == "exact" ? 0.0 : 0.001));
  }
}

TEST_CASE("resizing equals Pillow's bicubic bit for bit") {
  for (const std::string& line : Cases("resize")) {
    std::istringstream fields(line);
    std::string file;
    ImageSize size;
    fields >> file >> size.width >> size.height;
    const RgbImage resized = ResizeBicubic(GoldenImage(file), size);
    INFO(line);
    CHECK(resized.size == size);
    const Difference difference =
        Compare(resized.pixels, ReadPixels(file + "_" + std::to_string(size.width) + "x" +
                                           std::to_string(size.height) + ".rgb"));
    INFO(difference.share * 100 << " % differ");
    CHECK(difference.most == 0);
  }
}

TEST_CASE("EXIF orientation equals Pillow's exif_transpose") {
  for (const std::string& file : Cases("orient")) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      INFO(file << " " << orientation);
      const RgbImage turned = ApplyExifOrientation(GoldenImage(file), orientation);
      const auto golden = ReadPixels(file + "_orient" + std::to_string(orientation) + ".rgb");
      CHECK(Compare(turned.pixels, golden).most == 0);
    }
  }
}

TEST_CASE("patches of still images equal the PIL-backed image processor bit for bit") {
  const Patchifier patchifier{PreprocessorConfig()};
  for (const std::string& line : Cases("patchify")) {
    std::istringstream fields(line);
    std::string file;
    Grid grid;
    fields >> file >> grid.t >> grid.h >> grid.w;
    const auto patches = patchifier.Still(GoldenImage(file));
    INFO(line);
    REQUIRE(patches.ok());
    CHECK(patches->grid == grid);
    const bool equal = patches->rows == ReadFloats(file + ".f32");
    CHECK(equal);
  }
}

TEST_CASE("patches of a clip equal the image processor; the last frame fills the last pair") {
  const Patchifier patchifier{PreprocessorConfig()};
  for (const std::string& line : Cases("frames")) {
    std::istringstream fields(line);
    std::string files;
    Grid grid;
    fields >> files >> grid.t >> grid.h >> grid.w;
    std::vector<RgbImage> images;
    std::istringstream names(files);
    for (std::string name; std::getline(names, name, ',');) images.push_back(GoldenImage(name));
    std::vector<const RgbImage*> frames;
    for (const RgbImage& image : images) frames.push_back(&image);
    const auto patches = patchifier.Frames(frames);
    REQUIRE(patches.ok());
    CHECK(patches->grid == grid);
    const bool equal = patches->rows == ReadFloats("frames.f32");
    CHECK(equal);
  }
}

TEST_CASE("smart_resize equals the reference on a grid of sizes, errors included") {
  std::istringstream text(ReadGolden("smart_resize.txt"));
  int compared = 0;
  for (std::string line; std::getline(text, line); ++compared) {
    std::istringstream fields(line);
    ImageSize size;
    SmartResizeRule rule;
    std::string arrow;
    fields >> size.height >> size.width >> rule.factor >> rule.min_pixels >> rule.max_pixels >>
        arrow;
    ImageSize golden;
    const bool is_size = static_cast<bool>(fields >> golden.height >> golden.width);
    const auto ours = SmartResize(size, rule);
    INFO(line);
    REQUIRE(ours.ok() == is_size);
    if (is_size) CHECK(*ours == golden);
  }
  CHECK(compared > 1000);
}

}  // namespace emotion::vision

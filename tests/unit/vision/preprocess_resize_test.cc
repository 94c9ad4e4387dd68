// Resize, patches, quality, configuration, and the whole way from bytes to patches.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/vision/image_builders.h"
#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/image_preparer.h"
#include "vision/preprocess/resize_bicubic.h"

namespace emotion::vision {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

// The slow twin: one value at a time, straight from the definition.
double Cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

uint8_t MixNaively(const uint8_t* values, size_t stride, int in, int out, int position) {
  const double scale = static_cast<double>(in) / out;
  const double wide = std::max(scale, 1.0);
  const double center = (position + 0.5) * scale;
  const int first = std::max(0, static_cast<int>(center - 2 * wide + 0.5));
  const int last = std::min(in, static_cast<int>(center + 2 * wide + 0.5));
  double sum = 0;
  for (int i = first; i < last; ++i) sum += Cubic((i - center + 0.5) * (1.0 / wide));
  int64_t mixed = 1 << 21;
  for (int i = first; i < last; ++i) {
    const double weight = Cubic((i - center + 0.5) * (1.0 / wide)) / sum * (1 << 22);
    mixed += std::lround(weight) * values[static_cast<size_t>(i) * stride];
  }
  return static_cast<uint8_t>(std::clamp<int64_t>(mixed >> 22, 0, 255));
}

RgbImage ResizeWidthNaively(const RgbImage& image, int width) {
  RgbImage result{{width, image.size.height}, {}};
  for (int y = 0; y < image.size.height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const auto* row = &image.pixels[static_cast<size_t>(y) * image.size.width * 3 + c];
        result.pixels.push_back(MixNaively(row, 3, image.size.width, width, x));
      }
    }
  }
  return result;
}

RgbImage Transposed(const RgbImage& image) {
  RgbImage result{{image.size.height, image.size.width}, {}};
  for (int x = 0; x < image.size.width; ++x) {
    for (int y = 0; y < image.size.height; ++y) {
      const auto* pixel = &image.pixels[(static_cast<size_t>(y) * image.size.width + x) * 3];
      result.pixels.insert(result.pixels.end(), pixel, pixel + 3);
    }
  }
  return result;
}

RgbImage ResizeNaively(RgbImage image, ImageSize to) {
  const auto width = [&] { image = ResizeWidthNaively(image, to.width); };
  const auto height = [&] { image = Transposed(ResizeWidthNaively(Transposed(image), to.height)); };
  const int rows_less = image.size.height - to.height;
  if (rows_less > 0 && rows_less > 2 * (image.size.width - to.width)) {
    height();
    width();
  } else {
    width();
    height();
  }
  return image;
}

RgbImage Face() {
  const std::string bytes = ReadTestImage("astronaut_face.jpg");
  return *DecodeImage(bytes, *InspectImage(bytes, DecodeLimits()));
}

bool Has(const Quality& quality, QualityWarning warning) {
  return std::count(quality.warnings.begin(), quality.warnings.end(), warning) == 1;
}

RgbImage Scaled(RgbImage image, double factor) {
  for (uint8_t& value : image.pixels) {
    value = static_cast<uint8_t>(std::min(255.0, value * factor));
  }
  return image;
}

ImagePreparer MakePreparer() { return ImagePreparer(ImagePreparer::Settings()); }

}  // namespace

TEST_CASE("the fast resize equals its slow twin") {
  const struct {
    ImageSize from;
    ImageSize to;
  } cases[] = {{{40, 30}, {112, 112}}, {{200, 150}, {28, 56}}, {{61, 47}, {61, 20}},
               {{61, 47}, {17, 47}},   {{3, 2}, {28, 28}},     {{90, 300}, {80, 28}},
               {{4000, 3}, {28, 28}},  {{1, 1}, {5, 7}}};
  for (const auto& [from, to] : cases) {
    INFO(from.width << "x" << from.height << " -> " << to.width << "x" << to.height);
    const RgbImage pattern = MakePattern(from);
    const bool equal = ResizeBicubic(pattern, to).pixels == ResizeNaively(pattern, to).pixels;
    CHECK(equal);
  }
}

TEST_CASE("an image of the target's size is handed through") {
  const RgbImage pattern = MakePattern({20, 10});
  CHECK(ResizeBicubic(pattern, {20, 10}).pixels == pattern.pixels);
}

TEST_CASE("a flat image stays flat, and extremes do not wrap around") {
  for (const uint8_t value : {0, 1, 127, 255}) {
    const RgbImage flat = ResizeBicubic(MakeFlat({33, 21}, value), {112, 56});
    CHECK(std::all_of(flat.pixels.begin(), flat.pixels.end(),
                      [value](uint8_t pixel) { return pixel == value; }));
  }
}

TEST_CASE("patches: a face has 64 rows of 1176 values, frames of a still image are equal") {
  const Patchifier patchifier{PreprocessorConfig()};
  const auto patches = patchifier.Still(MakePattern({112, 112}));
  REQUIRE(patches.ok());
  CHECK(patches->grid == Grid{1, 8, 8});
  REQUIRE(patches->rows.size() == 64 * 1176);
  for (size_t channel = 0; channel < 3; ++channel) {
    const float* first = &patches->rows[channel * 2 * 196];
    CHECK(std::equal(first, first + 196, first + 196));
  }
}

TEST_CASE("patches: rows come in merge groups of two by two") {
  // Every patch of 14 x 14 is flat and says its own number.
  RgbImage image = MakeFlat({56, 28}, 0);
  for (int y = 0; y < 28; ++y) {
    for (int x = 0; x < 56; ++x) {
      image.pixels[(static_cast<size_t>(y) * 56 + x) * 3] =
          static_cast<uint8_t>(y / 14 * 4 + x / 14);
    }
  }
  const PreprocessorConfig config;
  const auto patches = Patchifier(config).Still(image);
  REQUIRE(patches.ok());
  const int order[] = {0, 1, 4, 5, 2, 3, 6, 7};
  for (size_t row = 0; row < 8; ++row) {
    const double red = patches->rows[row * 1176] * config.std[0] + config.mean[0];
    CHECK(std::lround(red * 255) == order[row]);
  }
}

TEST_CASE("patches: sizes that do not fit are errors") {
  const Patchifier patchifier{PreprocessorConfig()};
  CHECK(!patchifier.Still(MakeFlat({112, 111}, 0)).ok());
  CHECK(!patchifier.Still(MakeFlat({14, 28}, 0)).ok());
  CHECK(!patchifier.Still(RgbImage{{28, 28}, {}}).ok());
  CHECK(!patchifier.Still(RgbImage()).ok());
  CHECK(!patchifier.Frames({}).ok());
  const RgbImage a = MakeFlat({28, 28}, 0);
  const RgbImage b = MakeFlat({56, 28}, 0);
  const RgbImage* frames[] = {&a, &b};
  CHECK(!patchifier.Frames(frames).ok());
}

TEST_CASE("smart_resize: a face stays as it is; impossible shapes are refused") {
  CHECK(*SmartResize({112, 112}, SmartResizeRule()) == ImageSize{112, 112});
  CHECK(ReasonOf(SmartResize({0, 10}, SmartResizeRule()).status()) == Reason::kImageDimensions);
  CHECK(ReasonOf(SmartResize({2010, 10}, SmartResizeRule()).status()) == Reason::kImageDimensions);
  CHECK(SmartResize({2000, 10}, SmartResizeRule()).ok());
}

TEST_CASE("quality: a sharp, well lit face has no warnings") {
  const Quality quality = AssessQuality({112, 112}, Face());
  CHECK(quality.warnings.empty());
}

TEST_CASE("quality: each warning has its cause") {
  const RgbImage face = Face();
  const Quality dark = AssessQuality({112, 112}, Scaled(face, 0.15));
  CHECK(Has(dark, QualityWarning::kTooDark));
  CHECK_FALSE(Has(dark, QualityWarning::kBlurred));  // dark is not blurred
  CHECK(Has(AssessQuality({112, 112}, Scaled(face, 6)), QualityWarning::kTooBright));
  const RgbImage soft = ResizeBicubic(ResizeBicubic(face, {20, 20}), {112, 112});
  CHECK(Has(AssessQuality({112, 112}, soft), QualityWarning::kBlurred));
  CHECK(Has(AssessQuality({112, 112}, MakeFlat({112, 112}, 128)), QualityWarning::kBlurred));
  CHECK(Has(AssessQuality({47, 50}, face), QualityWarning::kTooSmall));
  CHECK_FALSE(Has(AssessQuality({48, 50}, face), QualityWarning::kTooSmall));
  const Quality wide = AssessQuality({141, 112}, face);
  CHECK(Has(wide, QualityWarning::kNotSquare));
  CHECK_FALSE(Has(AssessQuality({140, 112}, face), QualityWarning::kNotSquare));
}

TEST_CASE("quality: names are the public ones") {
  CHECK(QualityWarningName(QualityWarning::kTooDark) == "too_dark");
  CHECK(QualityWarningName(QualityWarning::kNotSquare) == "not_square");
  CHECK(QualityWarningName(QualityWarning::kMultipleFaces) == "multiple_faces");
}

TEST_CASE("configuration: the hub's file, newer saves and nested ones read alike") {
  PreprocessorConfig expected;
  expected.max_pixels = 12845056;
  const char* texts[] = {
      R"({"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "resample": 3})",
      R"({"size": {"shortest_edge": 3136, "longest_edge": 12845056}, "min_pixels": null})",
      R"({"image_processor": {"size": {"shortest_edge": 3136, "longest_edge": 12845056},
          "image_mean": [0.48145466, 0.4578275, 0.40821073]}, "processor_class": "X"})",
      // Both: the plain names win.
      R"({"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 3136,
          "max_pixels": 12845056})",
  };
  for (const char* text : texts) {
    const auto config = ParsePreprocessorConfig(text, "test");
    INFO(text << config.status().message());
    REQUIRE(config.ok());
    CHECK(*config == expected);
    CHECK(CanonicalText(*config) == CanonicalText(expected));
  }
}

TEST_CASE("configuration: the text for the fingerprint is stable") {
  CHECK(CanonicalText(PreprocessorConfig()) ==
        "image_mean=0.48145466,0.4578275,0.40821073\n"
        "image_std=0.26862954,0.26130258,0.27577711\n"
        "max_pixels=1003520\nmerge_size=2\nmin_pixels=3136\npatch_size=14\n"
        "rescale_factor=0.00392156862745098\ntemporal_patch_size=2\n");
}

TEST_CASE("configuration: what is malformed or out of bounds names its key") {
  for (const char* text : {
           "",
           "[]",
           "{",
           R"({"image_processor": 3})",
           R"({"patch_size": 0})",
           R"({"patch_size": 1e3})",
           R"({"patch_size": 100000})",
           R"({"merge_size": "2"})",
           R"({"image_std": [1, 1, 0]})",
           R"({"image_std": [1, 1, 1e-60]})",
           R"({"image_mean": [1, 1]})",
           R"({"image_mean": [1, 1, "x"]})",
           R"({"min_pixels": 10, "max_pixels": 9})",
           R"({"size": 5})",
           R"({"size": {"shortest_edge": -1}})",
           R"({"max_pixels": 18446744073709551615})",
           R"({"do_resize": false})",
           R"({"do_normalize": 0})",
           R"({"resample": 2})",
           R"({"rescale_factor": 1e999})",
       }) {
    INFO(text);
    CHECK(ReasonOf(ParsePreprocessorConfig(text, "file").status()) == Reason::kFieldInvalid);
  }
  CHECK(ParsePreprocessorConfig(R"({"resample": 2})", "dir/file.json").status().message() ==
        "dir/file.json: resample: must be 3; is 2");
}

TEST_CASE("configuration: a directory without a file has the defaults") {
  const auto directory = std::filesystem::temp_directory_path() / "emotion_preprocess_test";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  CHECK(*ReadPreprocessorConfig(directory) == PreprocessorConfig());
  std::ofstream(directory / "processor_config.json")
      << R"({"image_processor": {"max_pixels": 5000}})";
  CHECK(ReadPreprocessorConfig(directory)->max_pixels == 5000);
  std::ofstream(directory / "preprocessor_config.json") << R"({"max_pixels": 6000})";
  CHECK(ReadPreprocessorConfig(directory)->max_pixels == 6000);
  std::filesystem::remove_all(directory);
}

TEST_CASE("whatever is sent, a frame becomes one face of 64 patches") {
  const ImagePreparer preparer = MakePreparer();
  for (const std::string& bytes :
       {ReadTestImage("astronaut.jpg"), ReadTestImage("astronaut_face.jpg"),
        MakePng(MakePattern({300, 20})), MakeWebp(MakePattern({1, 1}), true)}) {
    const auto prepared = preparer.Prepare(bytes, PrepareOptions());
    INFO(prepared.status().message());
    REQUIRE(prepared.ok());
    CHECK(prepared->image.size == ImageSize{112, 112});
    CHECK(prepared->patches.grid == Grid{1, 8, 8});
  }
}

TEST_CASE("EXIF orientation is applied or ignored, as asked") {
  const RgbImage pattern = MakePattern({112, 112});
  const std::string bytes = MakePng(pattern, PngChunk("eXIf", MakeExif(6, true)));
  const ImagePreparer preparer = MakePreparer();
  const auto ignored = preparer.Prepare(bytes, {.orientation = OrientationMode::kIgnoreExif});
  REQUIRE(ignored.ok());
  CHECK(ignored->image.pixels == pattern.pixels);
  const auto applied = preparer.Prepare(bytes, PrepareOptions());
  REQUIRE(applied.ok());
  // Turned clockwise: what was at the bottom left is now at the top left.
  CHECK(applied->image.pixels[0] == pattern.pixels[size_t{111} * 112 * 3]);
}

TEST_CASE("native size: too many patches are refused by the header, naming MAX_PATCHES") {
  const ImagePreparer preparer = MakePreparer();
  PrepareOptions options{.resize = ResizeMode::kNative};
  const std::string face = MakePng(MakePattern({100, 60}));
  CHECK(preparer.Prepare(face, options)->patches.grid == Grid{1, 4, 8});
  // A header without sound data: the refusal comes before the decoder.
  std::string large = MakePng(PngHeader{1000, 1000, 8, 2});
  large[large.size() - 20] ^= 1;
  const auto refused = preparer.Prepare(large, options);
  CHECK(ReasonOf(refused.status()) == Reason::kImageDimensions);
  CHECK(refused.status().message() ==
        "image of 1000 x 1000 pixels gives 4900 patches at 980 x 980; MAX_PATCHES is 1024");
  options.max_patches = 0;
  CHECK(ReasonOf(preparer.Prepare(large, options).status()) == Reason::kImageCorrupt);
}

TEST_CASE("an input size of the heads that the encoder cannot take names its field") {
  const ImagePreparer preparer = MakePreparer();
  const std::string bytes = ReadTestImage("astronaut_face.jpg");
  for (const ImageSize size : {ImageSize{100, 112}, ImageSize{0, 112}, ImageSize{-28, 112}}) {
    const auto refused = preparer.Prepare(bytes, {.heads_input = size});
    CHECK(ReasonOf(refused.status()) == Reason::kFieldInvalid);
    CHECK(ViolationsOf(refused.status()).at(0).field == "resize_width");
  }
  const auto huge = preparer.Prepare(bytes, {.heads_input = {28'000'000, 28'000'000}});
  CHECK(ReasonOf(huge.status()) == Reason::kImageDimensions);
}

TEST_CASE("decode memory comes from the budget and goes back to it") {
  DecodeBudget budget(int64_t{64} << 20);
  const ImagePreparer preparer({.config = {}, .limits = {}, .budget = &budget});
  const std::string bytes = ReadTestImage("astronaut.jpg");
  {
    const auto decoded = preparer.Decode(bytes, PrepareOptions());
    REQUIRE(decoded.ok());
    CHECK(budget.bytes_in_use() >= 512 * 512 * 3);
  }
  CHECK(budget.bytes_in_use() == 0);
  const auto taken = budget.Acquire(int64_t{64} << 20, std::chrono::steady_clock::now());
  const PrepareOptions hurried{.deadline = std::chrono::steady_clock::now()};
  CHECK(ReasonOf(preparer.Prepare(bytes, hurried).status()) == Reason::kQueueFull);
}

}  // namespace emotion::vision

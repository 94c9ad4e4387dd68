#include "embedding_service/cache/near_duplicate.h"

#include <algorithm>
#include <functional>

#include <catch2/catch.hpp>

#include "tests/unit/embedding_service/cache/near_faces.h"

namespace emotion::embedding {
namespace {

using training::FaceParameters;

constexpr float kOperatingPoint = 0.95F;
constexpr uint64_t kFaces = 30;

// The similarities of drawn faces to themselves after `change`, photographed anew, in order.
std::vector<float> After(const std::function<void(FaceParameters&)>& change, int quality = 85) {
  std::vector<float> similarities;
  for (uint64_t seed = 0; seed < kFaces; ++seed) {
    FaceParameters face = NeutralFace(seed);
    const FaceDescriptor before = Seen(face, 1);
    change(face);
    similarities.push_back(Similarity(before, Seen(face, 2, quality)));
  }
  std::sort(similarities.begin(), similarities.end());
  return similarities;
}

TEST_CASE("equal descriptors have similarity 1, whatever they show") {
  for (uint64_t seed = 0; seed < kFaces; ++seed) {
    const FaceDescriptor face = Seen(NeutralFace(seed));
    CHECK(Similarity(face, face) == 1.0F);
  }
  CHECK(Similarity(FaceDescriptor(), FaceDescriptor()) == 1.0F);
}

TEST_CASE("similarity is symmetric and lies in 0..1, also of two strangers") {
  for (uint64_t seed = 0; seed < kFaces; ++seed) {
    const FaceDescriptor a = Seen(NeutralFace(seed));
    const FaceDescriptor b = Seen(NeutralFace(seed + 100));
    const float similarity = Similarity(a, b);
    CHECK(similarity == Approx(Similarity(b, a)).margin(1e-5));
    CHECK(similarity >= 0);
    CHECK(similarity < kOperatingPoint);
  }
}

TEST_CASE("the most unlike descriptors that there can be are compared, too") {
  std::array<int8_t, FaceDescriptor::kSide * FaceDescriptor::kSide> cells{};
  for (size_t i = 0; i < cells.size(); ++i) cells[i] = i % 3 == 0 ? 127 : -127;
  const FaceDescriptor loud(cells);
  for (int8_t& cell : cells) cell = static_cast<int8_t>(-cell);
  CHECK(Similarity(loud, FaceDescriptor(cells)) < 0.5F);
  CHECK(Similarity(loud, FaceDescriptor(cells)) >= 0);
  CHECK(Similarity(loud, FaceDescriptor()) < 0.9F);
}

TEST_CASE("noise, JPEG and light alone leave a face near") {
  CHECK(After([](FaceParameters&) {}).front() > 0.98F);
  CHECK(After([](FaceParameters&) {}, 70).front() > 0.98F);
  // Where the light burns parts of a picture out, or no longer does, it is another picture.
  const size_t most = kFaces / 10;
  CHECK(After([](FaceParameters& face) { face.scene.exposure *= 0.85; })[most] > kOperatingPoint);
  CHECK(After([](FaceParameters& face) { face.scene.exposure *= 1.05; })[most] > kOperatingPoint);
  CHECK(After([](FaceParameters& face) { face.scene.light_slope += 0.1; })[most] > kOperatingPoint);
  CHECK(After([](FaceParameters& face) { face.scene.warmth += 0.2; })[most] > kOperatingPoint);
}

TEST_CASE("a head that sways by half a pixel, or tilts by a degree, stays near") {
  const auto sway = [](double pixels) {
    return [pixels](FaceParameters& face) { face.scene.centre_x += pixels / 56; };
  };
  CHECK(After(sway(0.5)).front() > kOperatingPoint);
  CHECK(After([](FaceParameters& face) { face.expression.head_tilt += 1; }).front() >
        kOperatingPoint);
  // A whole pixel is near for most, four are not for anybody.
  CHECK(After(sway(1))[kFaces / 3] > kOperatingPoint);
  CHECK(After(sway(4)).back() < kOperatingPoint);
}

TEST_CASE("what a face does is another face, on every skin") {
  for (double melanin : {0.0, 0.5, 1.0}) {
    CAPTURE(melanin);
    const auto doing = [&](const std::function<void(training::Expression&)>& act) {
      std::vector<float> similarities;
      for (uint64_t seed = 0; seed < kFaces; ++seed) {
        FaceParameters face = NeutralFace(seed);
        face.appearance.melanin = melanin;
        const FaceDescriptor before = Seen(face, 1);
        act(face.expression);
        similarities.push_back(Similarity(before, Seen(face, 2)));
      }
      std::sort(similarities.begin(), similarities.end());
      return similarities;
    };
    CHECK(doing([](auto& e) { e.eye_openness = 0; }).back() < kOperatingPoint);
    CHECK(doing([](auto& e) { e.gaze_x = 1; }).back() < kOperatingPoint);
    CHECK(doing([](auto& e) { e.gaze_x = -1; }).back() < kOperatingPoint);
    CHECK(doing([](auto& e) { e.mouth_openness = 1; }).back() < kOperatingPoint);
    // Brows as dark as the skin hardly show.
    const auto frowns = doing([](auto& e) { e.brow_height = -0.9, e.brow_furrow = 0.9; });
    CHECK(frowns[kFaces * 3 / 4] < kOperatingPoint);
  }
}

// The astronaut's face, `right` pixels to the left, `brighter` times as bright.
vision::RgbImage Photo(int right = 0, double brighter = 1) {
  static const vision::RgbImage whole = PhotoFile("astronaut.jpg");
  vision::RgbImage crop{{112, 112}, {}};
  for (int y = 0; y < 112; ++y) {
    for (int x = 0; x < 112 * 3; ++x) {
      const size_t from = static_cast<size_t>((y + 60) * whole.size.width + 167 + right) * 3;
      const double value = whole.pixels[from + static_cast<size_t>(x)] * brighter;
      crop.pixels.push_back(static_cast<uint8_t>(std::min(255.0, value)));
    }
  }
  return ThroughJpeg(crop, 85);
}

TEST_CASE("the photo stays near after other light and JPEG, and after a pixel, not after four") {
  const FaceDescriptor photo = Describe(Photo());
  CHECK(Similarity(photo, Describe(ThroughJpeg(Photo(), 75))) > 0.98F);
  CHECK(Similarity(photo, Describe(Photo(0, 0.85))) > kOperatingPoint);
  CHECK(Similarity(photo, Describe(Photo(1))) > kOperatingPoint);
  CHECK(Similarity(photo, Describe(Photo(4))) < kOperatingPoint);
}

TEST_CASE("the photo with an eye painted over is another face") {
  vision::RgbImage covered = Photo();
  // 16 x 10 pixels of skin from below the eye, put over it.
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 16 * 3; ++x) {
      const auto at = [&](int row) { return static_cast<size_t>((row + y) * 112 + 36) * 3; };
      covered.pixels[at(38) + static_cast<size_t>(x)] =
          covered.pixels[at(52) + static_cast<size_t>(x)];
    }
  }
  CHECK(Similarity(Describe(Photo()), Describe(covered)) < kOperatingPoint);
}

TEST_CASE("a picture without pixels, or with fewer than its size, has no contrast") {
  CHECK(Describe(vision::RgbImage()) == FaceDescriptor());
  CHECK(Describe({{10, 10}, {1, 2, 3}}) == FaceDescriptor());
  CHECK(Describe({{-4, 10}, {1, 2, 3}}) == FaceDescriptor());
}

TEST_CASE("flat pictures are alike at any brightness, and are no face") {
  const auto flat = [](int width, int height, uint8_t value) {
    return Describe(
        {{width, height}, std::vector<uint8_t>(static_cast<size_t>(width * height) * 3, value)});
  };
  for (uint8_t value : {0, 1, 128, 255}) CHECK(flat(112, 112, value) == FaceDescriptor());
  CHECK(flat(1, 1, 200) == FaceDescriptor());
  CHECK(flat(3, 500, 200) == FaceDescriptor());
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CHECK(Similarity(flat(112, 112, 128), Seen(NeutralFace(seed))) < kOperatingPoint);
  }
}

TEST_CASE("a picture of another size than 112 x 112 is described, too") {
  const vision::RgbImage face = Photo();
  vision::RgbImage twice{{224, 224}, {}};
  for (size_t y = 0; y < 224; ++y) {
    for (size_t x = 0; x < 224; ++x) {
      const uint8_t* pixel = &face.pixels[(y / 2 * 112 + x / 2) * 3];
      twice.pixels.insert(twice.pixels.end(), pixel, pixel + 3);
    }
  }
  CHECK(Similarity(Describe(face), Describe(twice)) == 1.0F);
}

}  // namespace
}  // namespace emotion::embedding

#include "training/demo/face_drawer.h"

#include <cstdlib>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "training/demo/camera.h"

namespace emotion::training {
namespace {

FaceParameters PlainFace() {
  FaceParameters face;
  face.appearance.hair_colour = {0.2f, 0.12f, 0.08f};
  face.appearance.iris_colour = {0.3f, 0.2f, 0.1f};
  face.appearance.clothes_colour = {0.3f, 0.4f, 0.6f};
  face.scene.background_top = {0.8f, 0.8f, 0.85f};
  face.scene.background_bottom = {0.6f, 0.6f, 0.65f};
  return face;
}

struct Region {  // pixels: [left, right) x [top, bottom)
  int left, top, right, bottom;
  double share() const {
    return double{1} * (right - left) * (bottom - top) / (kFaceSide * kFaceSide);
  }
};
constexpr Region kWhole = {0, 0, kFaceSide, kFaceSide};
constexpr Region kBrows = {26, 20, 86, 48};
constexpr Region kEyes = {28, 40, 84, 60};
constexpr Region kMouth = {36, 64, 76, 96};

// Mean absolute difference of two pictures in a region, in 8-bit steps.
double Difference(const vision::RgbImage& a, const vision::RgbImage& b, Region region = kWhole) {
  double sum = 0;
  int values = 0;
  for (int y = region.top; y < region.bottom; ++y) {
    for (int value = 3 * region.left; value < 3 * region.right; ++value, ++values) {
      const size_t at = static_cast<size_t>(y * kFaceSide * 3 + value);
      sum += std::abs(a.pixels[at] - b.pixels[at]);
    }
  }
  return sum / values;
}

double Brightness(const vision::RgbImage& image, Region region = kWhole) {
  vision::RgbImage black = image;
  black.pixels.assign(black.pixels.size(), 0);
  return Difference(image, black, region);
}

struct Change {
  std::string what;
  std::function<void(FaceParameters&)> apply;
  Region region = kWhole;
};

vision::RgbImage DrawWith(const Change& change) {
  FaceParameters face = PlainFace();
  change.apply(face);
  return DrawFace(face);
}

TEST_CASE("a face is 112 x 112 RGB pixels and the same every time") {
  const vision::RgbImage once = DrawFace(PlainFace());
  CHECK(once.size == vision::ImageSize{112, 112});
  CHECK(once.pixels.size() == 112u * 112u * 3u);
  CHECK(DrawFace(PlainFace()).pixels == once.pixels);
}

TEST_CASE("every parameter of the expression shows where it belongs and nowhere else") {
  const std::vector<Change> changes = {
      {"eyelids droop", [](auto& f) { f.expression.eye_openness = 0.3; }, kEyes},
      {"gaze goes left", [](auto& f) { f.expression.gaze_x = -0.8; }, kEyes},
      {"gaze goes down", [](auto& f) { f.expression.gaze_y = 0.8; }, kEyes},
      {"brows are pressed down", [](auto& f) { f.expression.brow_height = -0.8; }, kBrows},
      {"the left brow is raised", [](auto& f) { f.expression.brow_asymmetry = -0.8; }, kBrows},
      {"brows are furrowed", [](auto& f) { f.expression.brow_furrow = 0.8; }, kBrows},
      {"corners of the mouth go down", [](auto& f) { f.expression.mouth_curve = -0.8; }, kMouth},
      {"the mouth opens", [](auto& f) { f.expression.mouth_openness = 0.8; }, kMouth},
      {"lips are pressed", [](auto& f) { f.expression.lip_press = 0.8; }, kMouth},
  };
  const vision::RgbImage plain = DrawFace(PlainFace());
  for (const Change& change : changes) {
    const vision::RgbImage changed = DrawWith(change);
    INFO(change.what);
    const double inside = Difference(plain, changed, change.region);
    CHECK(inside > 2.5);
    CHECK(inside * change.region.share() > 0.9 * Difference(plain, changed));
  }
}

TEST_CASE("the head tilts, turns, moves and grows") {
  const std::vector<Change> changes = {
      {"tilt", [](auto& f) { f.expression.head_tilt = 15; }},
      {"yaw", [](auto& f) { f.expression.head_yaw = 0.7; }},
      {"shift", [](auto& f) { f.scene.centre_x = 0.1; }},
      {"size", [](auto& f) { f.scene.scale = 0.85; }},
  };
  for (const Change& change : changes) {
    INFO(change.what);
    CHECK(Difference(DrawFace(PlainFace()), DrawWith(change)) > 2);
  }
}

TEST_CASE("skin, hair, beard, glasses and the room change the picture") {
  const std::vector<Change> changes = {
      {"skin", [](auto& f) { f.appearance.melanin = 0.9; }, kMouth},
      {"long hair", [](auto& f) { f.appearance.hair = Appearance::Hair::kLong; }},
      {"no hair", [](auto& f) { f.appearance.hair = Appearance::Hair::kBald; }},
      {"beard", [](auto& f) { f.appearance.beard = 0.8; }, kMouth},
      {"glasses", [](auto& f) { f.appearance.glasses = true; }, kEyes},
      {"room", [](auto& f) { f.scene.clutter_seed = 5; }},
  };
  for (const Change& change : changes) {
    INFO(change.what);
    CHECK(Difference(DrawFace(PlainFace()), DrawWith(change), change.region) > 1);
  }
}

TEST_CASE("more melanin is darker, and less exposure is too") {
  double last = 256;
  for (double melanin : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const Change skin = {"skin", [=](auto& f) { f.appearance.melanin = melanin; }};
    const double now = Brightness(DrawWith(skin), kMouth);
    CHECK(now < last);
    last = now;
  }
  const Change dim = {"exposure", [](auto& f) { f.scene.exposure = 0.6; }};
  CHECK(Brightness(DrawWith(dim)) == Approx(0.6 * Brightness(DrawFace(PlainFace()))).epsilon(0.05));
}

TEST_CASE("light from the left brightens the left") {
  const Change light = {"light", [](auto& f) {
                          f.scene.light_angle = std::numbers::pi;
                          f.scene.light_slope = 0.4;
                        }};
  const vision::RgbImage lit = DrawWith(light);
  const vision::RgbImage even = DrawFace(PlainFace());
  const Region left = {0, 0, 30, kFaceSide}, right = {82, 0, kFaceSide, kFaceSide};
  CHECK(Brightness(lit, left) > Brightness(even, left) + 10);
  CHECK(Brightness(lit, right) < Brightness(even, right) - 10);
}

TEST_CASE("grain has the deviation that was asked for") {
  const Change grain = {"grain", [](auto& f) { f.scene.noise = 4; }};
  // The mean absolute deviation of a normal is 0.8 of its standard deviation.
  CHECK(Difference(DrawWith(grain), DrawFace(PlainFace())) == Approx(3.2).epsilon(0.1));
}

TEST_CASE("a mirrored face is the mirror image") {
  FaceParameters face = PlainFace();
  face.appearance.hair = Appearance::Hair::kBald;  // hair has its parting on one side
  face.expression = {.gaze_x = 0.5, .brow_asymmetry = 0.7, .head_tilt = 12, .head_yaw = 0.6};
  face.scene.centre_x = 0.05;
  const vision::RgbImage image = DrawFace(face);
  const vision::RgbImage mirrored = DrawFace(Mirrored(face));
  vision::RgbImage flipped = image;
  for (size_t y = 0; y < kFaceSide; ++y) {
    for (size_t value = 0; value < 3 * kFaceSide; ++value) {
      const size_t from = (kFaceSide - 1 - value / 3) * 3 + value % 3;
      flipped.pixels[y * kFaceSide * 3 + value] = image.pixels[y * kFaceSide * 3 + from];
    }
  }
  CHECK(Difference(image, mirrored) > 5);
  CHECK(Difference(flipped, mirrored) < 2);  // the nose and the glints have one side too
}

TEST_CASE("faces that lie outside the crop, or are tiny or huge, are drawn too") {
  for (double scale : {0.01, 0.3, 3.0, 30.0}) {
    for (double centre : {-1.0, 0.0, 5.0}) {
      const Change odd = {"odd", [=](auto& f) {
                            f.scene.scale = scale;
                            f.scene.centre_x = centre;
                          }};
      CHECK(DrawWith(odd).pixels.size() == 112u * 112u * 3u);
    }
  }
}

TEST_CASE("a JPEG begins and ends as one, and a lower quality is smaller") {
  const vision::RgbImage image = DrawFace(PlainFace());
  const std::string fine = EncodeJpeg(image, 95), coarse = EncodeJpeg(image, 40);
  CHECK(fine.substr(0, 3) == "\xff\xd8\xff");
  CHECK(fine.substr(fine.size() - 2) == "\xff\xd9");
  CHECK(coarse.size() < fine.size());
  CHECK(coarse.size() > 500);
}

}  // namespace
}  // namespace emotion::training

#include "training/demo/face_sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include "training/demo/face_drawer.h"

namespace emotion::training {
namespace {

const std::vector<SampledFace>& ManyFaces() {
  static const std::vector<SampledFace> faces = [] {
    std::vector<SampledFace> drawn;
    for (uint64_t seed = 0; seed < 4000; ++seed) drawn.push_back(SampleFace(seed));
    return drawn;
  }();
  return faces;
}

TEST_CASE("a seed gives the same face, and another seed another") {
  const SampledFace one = SampleFace(11), again = SampleFace(11), other = SampleFace(12);
  CHECK(DrawFace(one.parameters).pixels == DrawFace(again.parameters).pixels);
  CHECK(one.scores == again.scores);
  CHECK(DrawFace(one.parameters).pixels != DrawFace(other.parameters).pixels);
}

TEST_CASE("levels are those of the rule and no face lies in its dead zone") {
  for (const SampledFace& face : ManyFaces()) {
    REQUIRE(face.scores == ScoresOf(face.parameters.expression));
    REQUIRE(face.levels == LevelsOf(face.scores));
    REQUIRE_FALSE(InDeadZone(face.scores));
  }
}

TEST_CASE("of each state every level has between a sixth and a third of the faces") {
  for (size_t state = 0; state < kStateCount; ++state) {
    for (int level = 0; level < 4; ++level) {
      const auto count = std::count_if(ManyFaces().begin(), ManyFaces().end(),
                                       [&](const auto& f) { return f.levels[state] == level; });
      INFO(StateName(kStates[state]) << " level " << level << ": " << count << " of 4000");
      CHECK(count > 4000 / 6);
      CHECK(count < 4000 / 3);
    }
  }
}

TEST_CASE("states are no copies of one another") {
  for (size_t a = 0; a < kStateCount; ++a) {
    for (size_t b = a + 1; b < kStateCount; ++b) {
      double sum = 0;
      for (const SampledFace& face : ManyFaces()) {
        sum += (face.levels[a] - 1.5) * (face.levels[b] - 1.5) / 1.25;
      }
      INFO(StateName(kStates[a]) << " and " << StateName(kStates[b]));
      CHECK(std::abs(sum / 4000) < 0.4);
    }
  }
}

TEST_CASE("skins reach from the lightest to the darkest whatever the levels") {
  for (size_t state = 0; state < kStateCount; ++state) {
    for (int level = 0; level < 4; ++level) {
      double sum = 0, count = 0;
      for (const SampledFace& face : ManyFaces()) {
        if (face.levels[state] != level) continue;
        sum += face.parameters.appearance.melanin;
        ++count;
      }
      CHECK(sum / count == Approx(0.5).margin(0.05));
    }
  }
}

TEST_CASE("expressions stay where the drawing can show them") {
  for (const SampledFace& face : ManyFaces()) {
    const Expression& e = face.parameters.expression;
    REQUIRE(e.eye_openness >= 0.13);  // the iris shows, and with it the gaze
    REQUIRE(e.eye_openness <= 1);
    REQUIRE(std::hypot(e.gaze_x, e.gaze_y) <= 1.0001);
    REQUIRE(std::abs(e.head_tilt) <= 22);
    REQUIRE(std::abs(e.head_yaw) <= 1);
    REQUIRE(std::abs(e.brow_height) <= 1);
    REQUIRE(std::abs(e.mouth_curve) <= 1);
  }
}

}  // namespace
}  // namespace emotion::training

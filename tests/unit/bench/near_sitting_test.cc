#include <cmath>

#include <catch2/catch.hpp>

#include "bench/near/rules.h"
#include "bench/near/sitting.h"
#include "training/demo/face_drawer.h"
#include "training/demo/level_rule.h"

namespace emotion::bench {
namespace {

bool Same(const training::FaceParameters& a, const training::FaceParameters& b) {
  return training::DrawFace(a).pixels == training::DrawFace(b).pixels;
}

TEST_CASE("a seed gives the same sitting again, another seed another one") {
  const Sitting once = DrawSitting(7, {.frames = 30});
  const Sitting again = DrawSitting(7, {.frames = 30});
  REQUIRE(once.faces.size() == 30);
  REQUIRE(once.events.size() == again.events.size());
  for (size_t i = 0; i < 30; i += 7) CHECK(Same(once.faces[i], again.faces[i]));
  CHECK(!Same(once.faces[0], DrawSitting(8, {.frames = 30}).faces[0]));
}

TEST_CASE("events last as long as people's do, in order and apart") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const double period = seed % 2 == 0 ? 0.5 : 0.1;
    const Sitting sitting = DrawSitting(seed, {.period_s = period, .frames = 600});
    size_t after = 0;
    for (const Event& event : sitting.events) {
      CAPTURE(seed, EventName(event.kind), event.first);
      const double seconds = period * static_cast<double>(event.frames);
      const bool blink = event.kind == EventKind::kBlink;
      const double shortest = blink ? 0.1 : event.kind == EventKind::kYawn ? 2.6 : 0.6;
      CHECK(event.first >= after);
      CHECK(seconds <= (blink ? 0.4 : 8) + period);
      const bool cut_off = event.first + event.frames == sitting.faces.size();
      if (!cut_off) CHECK(seconds >= shortest - period);
      after = event.first + event.frames;
      CHECK(after <= sitting.faces.size());
    }
  }
}

TEST_CASE("during an event a face does what the event is called") {
  std::array<size_t, kEventKinds> met{};
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Sitting sitting = DrawSitting(seed, {.period_s = 0.5, .frames = 240});
    for (const Event& event : sitting.events) {
      const auto& e = sitting.faces[event.first + event.frames / 2].expression;
      CAPTURE(seed, EventName(event.kind));
      ++met[static_cast<size_t>(event.kind)];
      if (event.kind <= EventKind::kEyesClosed) CHECK(e.eye_openness < 0.6);
      if (event.kind == EventKind::kFrown) CHECK(e.brow_height < -0.1);
      if (event.kind == EventKind::kYawn) CHECK(e.mouth_openness > 0.3);
      if (event.kind == EventKind::kGazeAway) CHECK(std::abs(e.gaze_x) > 0.3);
    }
  }
  for (size_t count : met) CHECK(count > 0);
}

// Deviation of the change from one frame to the next, 0.5 s later, while the head settles nowhere.
double Sway(Temper temper, double largest) {
  double sum = 0;
  int count = 0;
  DriftWalk walk(3, temper);
  double before = walk.Step(0.5).shift_x;
  for (int i = 0; i < 4000; ++i) {
    const double now = walk.Step(0.5).shift_x;
    const double change = now - before;
    before = now;
    if (std::abs(change) > largest) continue;
    sum += change * change;
    ++count;
  }
  return std::sqrt(sum / count);
}

TEST_CASE("a calm head moves less than a restless one, both by about what is said") {
  const auto expected = [](double spread, double memory_s) {
    return spread * std::sqrt(2 * (1 - std::exp(-0.5 / memory_s)));
  };
  CHECK(Sway(Temper::kCalm, 0.5) == Approx(expected(0.25, 3)).epsilon(0.15));
  CHECK(Sway(Temper::kRestless, 1.6) == Approx(expected(1, 6)).epsilon(0.15));
}

TEST_CASE("every rule finds a picture like itself and a closed eye less so") {
  training::FaceParameters face;
  const vision::RgbImage open = training::DrawFace(face);
  face.expression.eye_openness = 0;
  const vision::RgbImage closed = training::DrawFace(face);
  for (const NearRule& rule : RulesToCompare()) {
    CAPTURE(rule.name);
    const auto one = rule.describe({.image = open, .embedding = {}, .telling = {}});
    const auto other = rule.describe({.image = closed, .embedding = {}, .telling = {}});
    CHECK(rule.similarity(one, one) == Approx(1));
    CHECK(rule.similarity(one, other) < (rule.name == "dHash" ? 1.01F : 0.9999F));
  }
}

TEST_CASE("an oracle judges by what an encode would tell, whatever the picture") {
  const vision::RgbImage picture = training::DrawFace(training::FaceParameters());
  const std::vector<float> embedding = {3, 4}, turned = {4, 3};
  Telling telling, changed;
  telling.probabilities[1] = {0.5F, 0.5F, 0, 0};
  changed.probabilities[1] = {0.2F, 0.6F, 0.2F, 0};
  std::vector<float> likeness;
  for (const NearRule& oracle : Oracles()) {
    const auto one =
        oracle.describe({.image = picture, .embedding = embedding, .telling = telling});
    CHECK(oracle.similarity(one, one) == Approx(1));
    const auto other = oracle.describe({.image = picture, .embedding = turned, .telling = changed});
    likeness.push_back(oracle.similarity(one, other));
  }
  REQUIRE(likeness.size() == 2);
  CHECK(likeness[0] == Approx(0.96));
  CHECK(likeness[1] == Approx(0.7));
}

}  // namespace
}  // namespace emotion::bench

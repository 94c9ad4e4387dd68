#include "training/demo/level_rule.h"

#include <utility>

#include <catch2/catch.hpp>

namespace emotion::training {
namespace {

double ScoreOf(State state, const Expression& expression) {
  return ScoresOf(expression)[static_cast<size_t>(state)];
}
int LevelFor(State state, const Expression& expression) {
  return LevelsOf(ScoresOf(expression))[static_cast<size_t>(state)];
}

TEST_CASE("a neutral face that looks at the camera is engaged and nothing else") {
  CHECK(LevelsOf(ScoresOf(Expression{})) == Levels{0, 3, 0, 0});
}

TEST_CASE("drooping lids are high boredom, and very high with the gaze away") {
  Expression e{.eye_openness = 0.3};
  CHECK(LevelFor(State::kBoredom, e) == 2);
  e.gaze_x = -1;
  CHECK(LevelFor(State::kBoredom, e) == 3);
}

TEST_CASE("a gaze to any side counts the same") {
  for (const auto& [x, y] : {std::pair{0.6, 0.0}, {-0.6, 0.0}, {0.0, 0.6}, {0.0, -0.6}}) {
    const Expression e{.gaze_x = x, .gaze_y = y};
    CHECK(ScoreOf(State::kBoredom, e) == Approx(0.25 * 0.6));
    CHECK(ScoreOf(State::kEngagement, e) == Approx(0.55 + 0.30 * 0.4 + 0.075));
  }
}

TEST_CASE("turning the head away lowers engagement only") {
  const Expression turned{.head_yaw = -1};
  CHECK(LevelsOf(ScoresOf(turned)) == Levels{0, 1, 0, 0});
  CHECK(ScoreOf(State::kEngagement, turned) == Approx(0.375));
}

TEST_CASE("a raised brow, a tilted head and a furrow add up to confusion, on either side") {
  for (double side : {-1.0, 1.0}) {
    Expression e{.brow_asymmetry = side * 0.9};
    CHECK(LevelFor(State::kConfusion, e) == 1);
    e.head_tilt = -side * 22;
    CHECK(ScoreOf(State::kConfusion, e) == Approx(0.80));
    CHECK(LevelFor(State::kConfusion, e) == 3);
    e.brow_furrow = 1;
    CHECK(ScoreOf(State::kConfusion, e) == Approx(0.95));
  }
}

TEST_CASE("pressed brows, corners down, pressed lips and a furrow add up to frustration") {
  Expression e{.brow_height = -1};
  CHECK(LevelFor(State::kFrustration, e) == 1);
  e.mouth_curve = -0.5;
  CHECK(LevelFor(State::kFrustration, e) == 2);
  e.mouth_curve = -1;
  e.lip_press = 1;
  e.brow_furrow = 1;
  CHECK(ScoreOf(State::kFrustration, e) == Approx(1));
  CHECK(LevelFor(State::kFrustration, e) == 3);
}

TEST_CASE("raised brows and a smile are no negative frustration") {
  CHECK(ScoreOf(State::kFrustration, {.brow_height = 1, .mouth_curve = 1}) == 0);
}

TEST_CASE("an open mouth changes no level: it is talk, or breath") {
  CHECK(ScoresOf({.mouth_openness = 1}) == ScoresOf(Expression{}));
}

TEST_CASE("scores stay within 0 and 1 for parameters outside their ranges") {
  const Expression wild{.eye_openness = -5,
                        .gaze_x = 9,
                        .brow_height = -9,
                        .brow_asymmetry = 9,
                        .brow_furrow = 9,
                        .mouth_curve = -9,
                        .lip_press = 9,
                        .head_tilt = 900,
                        .head_yaw = 9};
  for (double score : ScoresOf(wild)) {
    CHECK(score >= 0);
    CHECK(score <= 1);
  }
}

TEST_CASE("a score on a threshold has reached it") {
  CHECK(LevelOf(0.0) == 0);
  CHECK(LevelOf(0.2499) == 0);
  CHECK(LevelOf(0.25) == 1);
  CHECK(LevelOf(0.4999) == 1);
  CHECK(LevelOf(0.50) == 2);
  CHECK(LevelOf(0.7499) == 2);
  CHECK(LevelOf(0.75) == 3);
  CHECK(LevelOf(1.0) == 3);
}

TEST_CASE("one score near a threshold puts the face into the dead zone") {
  CHECK_FALSE(InDeadZone({0.1, 0.37, 0.63, 0.9}));
  CHECK_FALSE(InDeadZone({0.0, 0.18, 0.32, 1.0}));
  CHECK(InDeadZone({0.20, 0.37, 0.63, 0.9}));
  CHECK(InDeadZone({0.1, 0.37, 0.63, 0.80}));
}

}  // namespace
}  // namespace emotion::training

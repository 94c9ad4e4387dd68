#include "training/demo/level_scores.h"

#include <cmath>

#include <catch2/catch.hpp>

namespace emotion::training {
namespace {

using Ints = std::vector<int>;

TEST_CASE("all right is 1, and what the majority gets is told beside it") {
  const Ints truth = {0, 0, 1, 2, 3};
  const LevelScore score = ScoreLevels(truth, truth);
  CHECK(score.accuracy == 1);
  CHECK(score.f1_macro == 1);
  CHECK(score.support == std::array<size_t, 4>{2, 1, 1, 1});
  CHECK(score.majority_accuracy == Approx(0.4));
  // Level 0: precision 2/5, recall 1, F1 4/7; the others 0.
  CHECK(score.majority_f1_macro == Approx(4.0 / 7 / 4));
}

TEST_CASE("macro-F1 weighs a rare level as much as a common one") {
  const Ints truth = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const LevelScore score = ScoreLevels(truth, Ints(10, 0));
  CHECK(score.accuracy == Approx(0.9));
  CHECK(score.f1_macro == Approx((18.0 / 19 + 0) / 2));
}

TEST_CASE("levels that never occur do not count, and being told them costs") {
  const LevelScore score = ScoreLevels(Ints{1, 1, 2, 2}, Ints{1, 3, 2, 2});
  CHECK(score.f1_macro == Approx((2.0 / 3 + 1) / 2));
}

TEST_CASE("no faces score nothing") {
  const LevelScore score = ScoreLevels({}, {});
  CHECK(score.accuracy == 0);
  CHECK(score.f1_macro == 0);
  CHECK(FitTemperature({}, {}) == 1);
}

TEST_CASE("the most probable level is the first of the largest logits") {
  const std::vector<float> logits = {0, 3, 3, 1, -4, -3, -2, -1};
  CHECK(MostProbable(logits) == Ints{1, 3});
}

TEST_CASE("a temperature makes boasting logits as sure as they are right") {
  // Logits say level 0 with near certainty; it is right three times of four.
  std::vector<float> logits;
  Ints truth;
  for (int face = 0; face < 400; ++face) {
    for (float logit : {10.0f, 0.0f, 0.0f, 0.0f}) logits.push_back(logit);
    truth.push_back(face % 4 == 0 ? 1 + face % 3 : 0);
  }
  const double temperature = FitTemperature(logits, truth);
  const double sure = std::exp(10 / temperature);
  CHECK(sure / (sure + 3) == Approx(0.75).margin(0.01));
}

TEST_CASE("temperatures stay within their bounds") {
  const std::vector<float> right = {1, 0, 0, 0}, useless = {0, 9, 0, 0};
  CHECK(FitTemperature(right, Ints{0}) == Approx(0.05).margin(0.001));
  CHECK(FitTemperature(useless, Ints{0}) == Approx(20).margin(0.01));
}

}  // namespace
}  // namespace emotion::training

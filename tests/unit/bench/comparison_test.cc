// What emotion-bench-accuracy says about two encoders.
#include "bench/accuracy/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

namespace emotion::bench {
namespace {

// The first four values are the logits of every state.
Logits FirstFour(std::span<const float> x) {
  Logits logits{};
  for (auto& levels : logits) {
    for (size_t level = 0; level < kLevelCount; ++level) levels[level] = x[level];
  }
  return logits;
}

const Vectors kFaces = {{3, 1, -1, -3}, {-3, -1, 1, 3}, {1, 0.9F, -0.9F, -1}};

}  // namespace

TEST_CASE("an encoder compared with itself differs in nothing") {
  const Comparison same = Compare(kFaces, kFaces, FirstFour, 0.25);
  CHECK(same.least_cosine == Approx(1));
  CHECK(same.mean_centred == Approx(1));
  CHECK(same.largest_logit_error == 0);
  CHECK(same.decisions == 12);
  CHECK(same.clear == 8);  // the third face's best leads by 0.1 only
  CHECK(same.flips == 0);
  CHECK(same.logit_spread == Approx(std::sqrt((20 + 20 + 3.62) / 12)));
}

TEST_CASE("flips are counted, and those of clear levels apart") {
  Vectors other = kFaces;
  other[2] = {0.9F, 1, -0.9F, -1};
  Comparison found = Compare(kFaces, other, FirstFour, 0.25);
  CHECK(found.flips == 4);
  CHECK(found.clear_flips == 0);
  CHECK(found.largest_logit_error == Approx(0.1));
  CHECK(found.least_cosine < 1);
  other[0] = {1, 3, -1, -3};
  found = Compare(kFaces, other, FirstFour, 0.25);
  CHECK(found.flips == 8);
  CHECK(found.clear_flips == 4);
  CHECK(found.largest_logit_error == Approx(2));
}

TEST_CASE("a constant shift shows in the centred cosine although it hides in the plain one") {
  Vectors fp32 = kFaces;
  for (auto& x : fp32) x.push_back(100);
  Vectors other = fp32;
  for (auto& x : other) x[0] += 2;
  const Comparison found = Compare(fp32, other, FirstFour, 0.25);
  CHECK(found.least_cosine > 0.999);
  CHECK(found.mean_centred < 0.9);
}

TEST_CASE("NaN is the least cosine there is") {
  Vectors other = kFaces;
  other[1][2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(Compare(kFaces, other, FirstFour, 0.25).least_cosine));
}

TEST_CASE("levels are counted for each state") {
  const LevelCounts counts = CountLevels(kFaces, FirstFour);
  for (const auto& state : counts) CHECK(state == std::array<size_t, kLevelCount>{2, 0, 0, 1});
}

TEST_CASE("random heads see embeddings without their mean, and are the same for a seed") {
  Vectors faces;
  for (int i = 0; i < 20; ++i) {
    faces.push_back({1000 + std::sin(i * 1.0F), 0.001F * std::cos(i * 2.0F), 5});
  }
  const Heads heads = RandomHeads(faces, 7);
  CHECK(heads(faces[3]) == RandomHeads(faces, 7)(faces[3]));
  CHECK(heads(faces[3]) != RandomHeads(faces, 8)(faces[3]));
  const LevelCounts counts = CountLevels(faces, heads);
  size_t most = 0;
  for (const auto& state : counts)
    most = std::max(most, *std::max_element(state.begin(), state.end()));
  CHECK(most < 20);  // not one level for all
}

}  // namespace emotion::bench

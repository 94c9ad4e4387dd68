#include "training/demo/random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <catch2/catch.hpp>

namespace emotion::training {
namespace {

TEST_CASE("seeds that are neighbours have nothing in common") {
  Random zero(0), one(1);
  int equal_bits = 0;
  for (int draw = 0; draw < 1000; ++draw) equal_bits += std::popcount(~(zero.Next() ^ one.Next()));
  CHECK(equal_bits == Approx(32000).margin(700));
}

TEST_CASE("uniform numbers fill their range and stay in it") {
  Random random(7);
  double low = 1e9, high = -1e9, sum = 0;
  for (int draw = 0; draw < 20000; ++draw) {
    const double value = random.Uniform(-3, 5);
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  CHECK(low >= -3);
  CHECK(low < -2.99);
  CHECK(high < 5);
  CHECK(high > 4.99);
  CHECK(sum / 20000 == Approx(1).margin(0.06));
}

TEST_CASE("normal numbers have the mean and the deviation that were asked for") {
  Random random(7);
  double sum = 0, squares = 0;
  for (int draw = 0; draw < 20000; ++draw) {
    const double value = random.Normal(2, 3);
    sum += value;
    squares += (value - 2) * (value - 2);
  }
  CHECK(sum / 20000 == Approx(2).margin(0.09));
  CHECK(std::sqrt(squares / 20000) == Approx(3).margin(0.08));
}

TEST_CASE("below n gives 0 to n - 1, each as often") {
  Random random(3);
  std::array<int, 5> seen{};
  for (int draw = 0; draw < 10000; ++draw) ++seen.at(static_cast<size_t>(random.Below(5)));
  for (int count : seen) CHECK(count == Approx(2000).margin(180));
}

TEST_CASE("a chance of 0 never happens and one of 1 always does") {
  Random random(3);
  for (int draw = 0; draw < 1000; ++draw) {
    REQUIRE_FALSE(random.Chance(0));
    REQUIRE(random.Chance(1));
  }
}

}  // namespace
}  // namespace emotion::training

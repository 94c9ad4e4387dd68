#include "common/progress/loading_progress.h"

#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

namespace emotion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What is told of `steps` equal steps that take `each`.
std::vector<int> Told(int steps, milliseconds each) {
  ProgressSteps progress;
  std::vector<int> told;
  for (int i = 0; i <= steps; ++i) {
    if (const auto percent = progress.Due(static_cast<double>(i) / steps, each * i)) {
      told.push_back(*percent);
    }
  }
  return told;
}

}  // namespace

TEST_CASE("loading of seconds tells each quarter, and not its end") {
  CHECK(Told(100, milliseconds(80)) == std::vector<int>{25, 50, 75});
}

TEST_CASE("loading that is over at once tells nothing") {
  CHECK(Told(100, milliseconds(10)).empty());
}

TEST_CASE("loading of minutes tells every ten seconds besides") {
  CHECK(Told(100, seconds(1)) == std::vector<int>{10, 20, 25, 35, 45, 50, 60, 70, 75, 85, 95});
}

TEST_CASE("what began fast tells the quarter it has reached, once") {
  ProgressSteps progress;
  CHECK_FALSE(progress.Due(0.4, milliseconds(999)));
  CHECK(progress.Due(0.6, seconds(1)) == 60);
  CHECK_FALSE(progress.Due(0.7, seconds(2)));
  CHECK(progress.Due(0.75, seconds(3)) == 75);
  CHECK_FALSE(progress.Due(1, seconds(60)));
}

TEST_CASE("a share that is none is not told") {
  ProgressSteps progress;
  CHECK_FALSE(progress.Due(-1, seconds(20)));
  CHECK_FALSE(progress.Due(2, seconds(20)));
  CHECK_FALSE(progress.Due(std::nan(""), seconds(20)));
}

}  // namespace emotion

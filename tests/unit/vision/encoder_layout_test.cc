#include <climits>
#include <cmath>
#include <numeric>

#include <catch2/catch.hpp>

#include "vision/encoder/window_layout.h"

namespace emotion::vision {
namespace {

VisionConfig Config7b() {
  VisionConfig config;
  config.hidden_size = 1280;
  return config;
}

WindowLayout Layout(const std::vector<Grid>& grids) {
  const auto layout = MakeWindowLayout(Config7b(), grids);
  REQUIRE(layout.ok());
  return *layout;
}

std::vector<int64_t> Lengths(const std::vector<Segment>& segments) {
  std::vector<int64_t> lengths;
  for (const Segment& segment : segments) lengths.push_back(segment.length);
  return lengths;
}

void CheckTiles(const std::vector<Segment>& segments, int64_t patches) {
  int64_t next = 0;
  for (const Segment& segment : segments) {
    CHECK(segment.begin == next);
    CHECK(segment.length > 0);
    next += segment.length;
  }
  CHECK(next == patches);
}

bool Refused(const Grid& grid) {
  const std::vector<Grid> grids = {grid};
  return MakeWindowLayout(Config7b(), grids).status().code() == absl::StatusCode::kInvalidArgument;
}

}  // namespace

TEST_CASE("a 112 x 112 face is one window, in its own order") {
  const WindowLayout layout = Layout({{1, 8, 8}});
  CHECK(layout.patches == 64);
  CHECK(layout.windows == std::vector<Segment>{{0, 64}});
  CHECK(layout.frames == std::vector<Segment>{{0, 64}});
  CHECK(layout.tokens_per_image == std::vector<int64_t>{16});
  std::vector<int64_t> identity(16);
  std::iota(identity.begin(), identity.end(), 0);
  CHECK(layout.group_order == identity);
}

TEST_CASE("windows at the right and bottom are smaller and come in row order") {
  // 5 x 6 merge groups: windows of 4x4, 4x2, 1x4 and 1x2.
  const WindowLayout layout = Layout({{1, 10, 12}});
  CHECK(Lengths(layout.windows) == std::vector<int64_t>{64, 32, 16, 8});
  CHECK(layout.group_order == std::vector<int64_t>{0,  1,  2,  3,  6,  7,  8,  9,  12, 13,
                                                   14, 15, 18, 19, 20, 21, 4,  5,  10, 11,
                                                   16, 17, 22, 23, 24, 25, 26, 27, 28, 29});
  CheckTiles(layout.windows, 120);
}

TEST_CASE("neither windows nor frames cross images or frames") {
  const WindowLayout layout = Layout({{1, 8, 8}, {2, 2, 10}, {1, 2, 2}});
  CHECK(Lengths(layout.windows) == std::vector<int64_t>{64, 16, 4, 16, 4, 4});
  CHECK(Lengths(layout.frames) == std::vector<int64_t>{64, 20, 20, 4});
  CHECK(layout.tokens_per_image == std::vector<int64_t>{16, 10, 1});
  CheckTiles(layout.windows, 108);
  CheckTiles(layout.frames, 108);
}

TEST_CASE("the place of a group undoes the order") {
  const WindowLayout layout = Layout({{1, 18, 22}, {3, 14, 2}});
  REQUIRE(layout.group_order.size() == layout.group_place.size());
  for (size_t i = 0; i < layout.group_order.size(); ++i) {
    CHECK(layout.group_place[layout.group_order[i]] == static_cast<int64_t>(i));
  }
}

TEST_CASE("grids that are empty, uneven or endless are refused") {
  CHECK(Refused({0, 8, 8}));
  CHECK(Refused({1, 0, 8}));
  CHECK(Refused({1, 8, -8}));
  CHECK(Refused({1, 7, 8}));
  CHECK(Refused({1, 8, 9}));
  CHECK(Refused({INT_MAX, 8, 8}));
  CHECK(Refused({1, INT_MAX - 1, INT_MAX - 1}));
  CHECK(Layout({}).patches == 0);
}

TEST_CASE("rotary angles turn the first half with the row and the second with the column") {
  const std::vector<Grid> grids = {{1, 4, 4}};
  const auto angles = RotaryAngles(Config7b(), grids);
  REQUIRE(angles.size() == 16 * 40);
  // Merge-group order: the sixth patch is the second of the group at row 0, column 2.
  const float* sixth = angles.data() + 5 * 40;
  CHECK(sixth[0] == 0.0F);
  CHECK(sixth[20] == 3.0F);
  CHECK(sixth[21] == Approx(3.0 * std::pow(10000.0, -2.0 / 40)));
  CHECK(sixth[39] == Approx(3.0 * std::pow(10000.0, -38.0 / 40)));
  // The last patch is at row 3, column 3.
  const float* last = angles.data() + 15 * 40;
  CHECK(last[0] == 3.0F);
  CHECK(last[20] == 3.0F);
}

TEST_CASE("each frame and each image begins again at row and column 0") {
  const std::vector<Grid> grids = {{2, 2, 2}, {1, 2, 2}};
  const auto angles = RotaryAngles(Config7b(), grids);
  REQUIRE(angles.size() == 12 * 40);
  for (size_t i = 0; i < 4 * 40; ++i) {
    CHECK(angles[i] == angles[i + 4 * 40]);
    CHECK(angles[i] == angles[i + 8 * 40]);
  }
}

}  // namespace emotion::vision

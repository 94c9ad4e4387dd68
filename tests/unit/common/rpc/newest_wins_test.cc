#include "common/rpc/newest_wins.h"

#include <catch2/catch.hpp>

namespace emotion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using TimePoint = NewestWins::TimePoint;

const Lane kAnna{.session = std::string(16, 'a'), .face = 0};
const Lane kBert{.session = std::string(16, 'b'), .face = 0};
const TimePoint kStart = TimePoint() + seconds(1000);

struct Lanes {
  NewestWins rules{{.remember_for = seconds(10), .idle_lanes = 3}};
  TimePoint now = kStart;

  NewestWins::Arrival Arrive(const Lane& lane, uint64_t sequence, uint64_t ticket,
                             bool sent_again = false) {
    return rules.Arrive(lane, sequence, ticket, sent_again, now);
  }
  void Leave(const Lane& lane, uint64_t ticket) { rules.Leave(lane, ticket, now); }
};

}  // namespace

TEST_CASE("only frames of a session with a sequence have a lane") {
  CHECK(LaneOf("session", 3, 7) == Lane{.session = "session", .face = 3});
  CHECK_FALSE(LaneOf("", 3, 7));
  CHECK_FALSE(LaneOf("session", 3, 0));
}

TEST_CASE("a newer frame takes the place of the one that waits") {
  Lanes lanes;
  CHECK(lanes.Arrive(kAnna, 10, 1).predecessor == 0);
  const auto newer = lanes.Arrive(kAnna, 11, 2);
  CHECK_FALSE(newer.superseded);
  CHECK(newer.predecessor == 1);
  CHECK(lanes.Arrive(kAnna, 12, 3).predecessor == 2);
}

TEST_CASE("an older frame and one as old are out of date at once, and change nothing") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  CHECK(lanes.Arrive(kAnna, 9, 2).superseded);
  CHECK(lanes.Arrive(kAnna, 10, 3).superseded);
  CHECK(lanes.Arrive(kAnna, 11, 4).predecessor == 1);
}

TEST_CASE("a frame that waits no more is left alone, and still dates later ones") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  lanes.Leave(kAnna, 1);
  CHECK(lanes.Arrive(kAnna, 9, 2).superseded);
  CHECK(lanes.Arrive(kAnna, 11, 3).predecessor == 0);
}

TEST_CASE("faces and sessions have lanes of their own") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  CHECK(lanes.Arrive({.session = kAnna.session, .face = 1}, 5, 2).predecessor == 0);
  CHECK_FALSE(lanes.Arrive(kBert, 5, 3).superseded);
  CHECK(lanes.rules.lanes() == 3);
}

TEST_CASE("a frame sent again after a crash is not older than itself, but older than newer ones") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  const auto again = lanes.Arrive(kAnna, 10, 2, /*sent_again=*/true);
  CHECK_FALSE(again.superseded);
  CHECK(again.predecessor == 1);
  lanes.Arrive(kAnna, 11, 3);
  CHECK(lanes.Arrive(kAnna, 10, 4, /*sent_again=*/true).superseded);
}

TEST_CASE("leaving late, twice or as a stranger has no effect") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  lanes.Arrive(kAnna, 11, 2);
  lanes.Leave(kAnna, 1);
  lanes.Leave(kBert, 2);
  CHECK(lanes.Arrive(kAnna, 12, 3).predecessor == 2);
  lanes.Leave(kAnna, 3);
  lanes.Leave(kAnna, 3);
  CHECK(lanes.Arrive(kAnna, 13, 4).predecessor == 0);
}

TEST_CASE("a lane is forgotten some time after its last frame waited, stale arrivals or not") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  lanes.now += seconds(60);  // it waits all the while
  CHECK(lanes.Arrive(kAnna, 9, 2).superseded);
  lanes.Leave(kAnna, 1);
  lanes.now += milliseconds(9999);
  CHECK(lanes.Arrive(kAnna, 9, 3).superseded);
  lanes.now += milliseconds(1);
  CHECK_FALSE(lanes.Arrive(kAnna, 9, 4).superseded);
  CHECK(lanes.rules.lanes() == 1);
}

TEST_CASE("idle lanes are bounded: the one left longest ago goes first, those that wait stay") {
  Lanes lanes;
  lanes.Arrive(kAnna, 10, 1);
  for (uint64_t i = 2; i < 100; ++i) {
    const Lane lane{.session = std::to_string(i), .face = 0};
    lanes.Arrive(lane, 10, i);
    lanes.Leave(lane, i);
  }
  CHECK(lanes.rules.lanes() == 4);
  CHECK(lanes.Arrive({.session = "99", .face = 0}, 9, 200).superseded);
  CHECK_FALSE(lanes.Arrive({.session = "50", .face = 0}, 9, 201).superseded);
  CHECK(lanes.Arrive(kAnna, 11, 202).predecessor == 1);
}

}  // namespace emotion

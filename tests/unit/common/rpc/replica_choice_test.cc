#include "common/rpc/replica_choice.h"

#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/rpc/backoff.h"

namespace emotion {
namespace {

std::vector<Candidate> Replicas(size_t count, size_t outstanding = 0) {
  std::vector<Candidate> replicas;
  for (size_t i = 0; i < count; ++i) {
    replicas.push_back({HashAddress("10.0.0." + std::to_string(i) + ":50051"), outstanding, 100});
  }
  return replicas;
}

}  // namespace

TEST_CASE("no replica, or none with room, is no choice") {
  CHECK_FALSE(ChooseReplica({}, "session", 1));
  auto replicas = Replicas(2);
  for (Candidate& replica : replicas) replica.outstanding = replica.window;
  CHECK_FALSE(ChooseReplica(replicas, "", 1));
  CHECK_FALSE(ChooseReplica(replicas, "session", 1));
}

TEST_CASE("sessions spread evenly over replicas and only those of a lost one move") {
  const auto all = Replicas(5);
  auto fewer = all;
  fewer.pop_back();
  std::vector<int> counts(5);
  int moved = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string key = "session " + std::to_string(i);
    const size_t home = *ChooseReplica(all, key, 7);
    ++counts[home];
    if (home != 4 && *ChooseReplica(fewer, key, 7) != home) ++moved;
  }
  for (const int count : counts) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
  CHECK(moved == 0);
}

TEST_CASE("a home above 1.25 times the mean is left for a less loaded replica") {
  auto replicas = Replicas(4, 8);
  const size_t home = *ChooseReplica(replicas, "session", 0);
  replicas[home].outstanding = 10;
  CHECK(*ChooseReplica(replicas, "session", 0) == home);
  replicas[home].outstanding = 30;
  std::mt19937_64 random(1);
  int at_home = 0;
  for (int i = 0; i < 400; ++i) {
    at_home += *ChooseReplica(replicas, "session", random()) == home ? 1 : 0;
  }
  CHECK(at_home == 0);
}

TEST_CASE("a home is kept for its first few frames however idle the others are") {
  auto replicas = Replicas(8);
  const size_t home = *ChooseReplica(replicas, "session", 0);
  replicas[home].outstanding = kAlwaysAtHome - 1;
  CHECK(*ChooseReplica(replicas, "session", 0) == home);
}

TEST_CASE("frames without a session go to the less loaded of two, never to a full window") {
  auto replicas = Replicas(3);
  replicas[0].outstanding = 50;
  replicas[1].outstanding = 100;
  std::mt19937_64 random(1);
  std::vector<int> counts(3);
  for (int i = 0; i < 600; ++i) ++counts[*ChooseReplica(replicas, "", random())];
  CHECK(counts[1] == 0);
  CHECK(counts[2] > 330);  // two of three pairs have it
}

TEST_CASE("a replica with more unanswered than all others is asked by nobody who may choose") {
  std::mt19937_64 random(1);
  for (const size_t count : {2, 3, 5}) {
    auto replicas = Replicas(count);
    replicas[1].outstanding = kAlwaysAtHome + 1;
    for (int i = 0; i < 300; ++i) {
      CHECK(*ChooseReplica(replicas, "", random()) != 1);
      CHECK(*ChooseReplica(replicas, "session " + std::to_string(i), random()) != 1);
    }
  }
}

TEST_CASE("backoff grows to its bound, with jitter, and starts again") {
  using std::chrono::milliseconds;
  Backoff backoff(milliseconds(100), milliseconds(1000));
  CHECK(backoff.Next(0.5) == milliseconds(100));
  CHECK(backoff.Next(0) == milliseconds(128));
  CHECK(backoff.Next(0.999) > milliseconds(300));
  for (int i = 0; i < 10; ++i) CHECK(backoff.Next(0.999) <= milliseconds(1200));
  backoff.Reset();
  CHECK(backoff.Next(0.5) == milliseconds(100));
}

}  // namespace emotion

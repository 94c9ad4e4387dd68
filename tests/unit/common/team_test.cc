#include "common/sync/team.h"

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace emotion {

TEST_CASE("a team calls every item once, whatever its size and the number of items") {
  for (const int size : {1, 2, 5}) {
    Team team(size);
    CHECK(team.size() == size);
    for (const int64_t items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(items));
      std::atomic<bool> known = true;
      team.ForEach(items, [&](int64_t item, int member) {
        ++calls[static_cast<size_t>(item)];
        if (member < 0 || member >= size) known = false;
      });
      for (const auto& count : calls) CHECK(count == 1);
      CHECK(known);
    }
  }
}

TEST_CASE("what was written in one round is read in the next, thousands of times") {
  Team team(3);
  std::array<int64_t, 64> values{};  // not atomic: rounds must order them
  for (int round = 0; round < 5000; ++round) {
    team.ForEach(64, [&](int64_t item, int) { ++values[static_cast<size_t>(63 - item)]; });
  }
  for (const int64_t value : values) CHECK(value == 5000);
}

TEST_CASE("no two items at a time have the same member") {
  Team team(4);
  std::array<std::atomic<int>, 4> busy{};
  std::atomic<bool> apart = true;
  for (int round = 0; round < 500; ++round) {
    team.ForEach(16, [&](int64_t, int member) {
      if (busy[static_cast<size_t>(member)].fetch_add(1) != 0) apart = false;
      std::this_thread::yield();
      busy[static_cast<size_t>(member)].fetch_sub(1);
    });
  }
  CHECK(apart);
}

TEST_CASE("a member that is held up holds up one item, not its share") {
  Team team(2);
  std::atomic<int> others = 0;
  std::atomic<bool> held = false;
  team.ForEach(100, [&](int64_t, int) {
    if (!held.exchange(true)) {
      while (others < 99) std::this_thread::yield();  // ends only if the other takes all the rest
    } else {
      ++others;
    }
  });
  CHECK(others == 99);
}

TEST_CASE("helpers that fell asleep wake up for the next round, and for the end") {
  for (int i = 0; i < 20; ++i) {
    auto team = std::make_unique<Team>(3);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // Ends only when another takes part.
    std::atomic<int> present = 0;
    team->ForEach(2, [&](int64_t, int) {
      ++present;
      while (present < 2) std::this_thread::yield();
    });
    CHECK(present == 2);
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    team.reset();
  }
}

}  // namespace emotion

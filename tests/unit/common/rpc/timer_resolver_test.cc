#include <catch2/catch.hpp>

#include "common/rpc/resolver.h"
#include "common/rpc/timer_thread.h"
#include "tests/unit/common/rpc/waiter.h"

namespace emotion {

using std::chrono::milliseconds;
using testing::Collected;

TEST_CASE("functions run in the order of their times, posted ones first") {
  TimerThread timers;
  Collected<int> ran;
  const auto now = TimerThread::Clock::now();
  timers.At(now + milliseconds(40), [&] { ran.Add(3); });
  timers.At(now + milliseconds(20), [&] { ran.Add(2); });
  timers.Post([&] { ran.Add(1); });
  CHECK(ran.WaitFor(3) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a cancelled function does not run, and stopping runs what was posted") {
  TimerThread timers;
  Collected<int> ran;
  const uint64_t id = timers.At(TimerThread::Clock::now() + milliseconds(20), [&] { ran.Add(1); });
  timers.Cancel(id);
  timers.Cancel(id);
  timers.Cancel(0);
  timers.At(TimerThread::Clock::now() + milliseconds(40), [&] { ran.Add(2); });
  CHECK(ran.WaitFor(1) == std::vector<int>{2});
  timers.At(TimerThread::Clock::now() + std::chrono::hours(1), [&] { ran.Add(3); });
  timers.Post([&] { ran.Add(4); });
  timers.Stop();
  timers.Post([&] { ran.Add(5); });
  timers.Stop();
  CHECK(ran.Now() == std::vector<int>{2, 4});
}

TEST_CASE("numeric addresses are looked up as they are, nonsense is nothing") {
  const auto found = LookUp("127.0.0.1:50051");
  REQUIRE(found.size() == 1);
  CHECK(found[0].address == "127.0.0.1:50051");
  CHECK(found[0].host == "127.0.0.1");
  for (const char* nonsense : {"", ":1", "host", "127.0.0.1:", "127.0.0.1:http-ish", "[::1:5"}) {
    INFO(nonsense);
    CHECK(LookUp(nonsense).size() <= 1);
  }
  CHECK(LookUp("").empty());
  CHECK(LookUp(":1").empty());
  CHECK(LookUp("host").empty());
}

TEST_CASE("names are looked up again, and one that fails keeps the addresses it had") {
  Collected<size_t> counts;
  int round = 0;  // used by the resolver's thread only
  const auto look_up = [&](const std::string&) -> std::vector<ResolvedAddress> {
    ++round;
    if (round == 1) return {{"10.0.0.1:1", "a"}};
    if (round == 2) return {{"10.0.0.1:1", "a"}, {"10.0.0.2:1", "a"}};
    return {};
  };
  {
    Resolver resolver(
        {"a:1"}, milliseconds(5),
        [&](std::vector<ResolvedAddress> found) { counts.Add(found.size()); }, look_up);
    const auto seen = counts.WaitFor(4);
    REQUIRE(seen.size() >= 4);
    CHECK(seen[0] == 1);
    CHECK(seen[1] == 2);
    CHECK(seen[3] == 2);
  }
}

TEST_CASE("a resolver whose lookup hangs is left behind without waiting") {
  struct Gate {
    Collected<int> entered;
    Collected<int> open;
  };
  auto gate = std::make_shared<Gate>();
  Collected<int> found;
  {
    Resolver resolver(
        {"a:1"}, milliseconds(5), [&](std::vector<ResolvedAddress>) { found.Add(1); },
        [gate](const std::string&) -> std::vector<ResolvedAddress> {
          gate->entered.Add(1);
          gate->open.WaitFor(1);
          return {{"10.0.0.1:1", "a"}};
        });
    gate->entered.WaitFor(1);
  }
  gate->open.Add(1);
  CHECK(found.Now().empty());
}

}  // namespace emotion

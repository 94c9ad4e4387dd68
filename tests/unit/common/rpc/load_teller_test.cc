#include "common/rpc/load_teller.h"

#include <atomic>

#include <catch2/catch.hpp>

#include "tests/unit/common/rpc/waiter.h"

namespace emotion {
namespace {

v1::Load LoadOf(uint32_t wait_ms, uint32_t next_ms = 0, uint32_t window = 64) {
  v1::Load load;
  load.set_queue_wait_ms(wait_ms);
  load.set_next_frame_after_ms(next_ms);
  load.set_window_frames(window);
  return load;
}

}  // namespace

TEST_CASE("a wait is told when it changed by more than a tenth and 5 ms") {
  CHECK_FALSE(Noticeable(LoadOf(100), LoadOf(100)));
  CHECK_FALSE(Noticeable(LoadOf(0), LoadOf(5)));
  CHECK(Noticeable(LoadOf(0), LoadOf(6)));
  CHECK(Noticeable(LoadOf(6), LoadOf(0)));
  CHECK_FALSE(Noticeable(LoadOf(1000), LoadOf(1100)));
  CHECK(Noticeable(LoadOf(1000), LoadOf(1200)));
  CHECK(Noticeable(LoadOf(1200), LoadOf(1000)));
  CHECK(Noticeable(LoadOf(0, 0), LoadOf(0, UINT32_MAX)));
}

TEST_CASE("a new pace, window or state of the shared cache is told; the queue's length is not") {
  CHECK(Noticeable(LoadOf(1, 50), LoadOf(1, 80)));
  CHECK(Noticeable(LoadOf(1, 0, 64), LoadOf(1, 0, 32)));
  v1::Load down = LoadOf(1);
  down.set_shared_cache(v1::SHARED_CACHE_DOWN);
  CHECK(Noticeable(LoadOf(1), down));
  v1::Load longer = LoadOf(1);
  longer.set_queue_frames(1000);
  CHECK_FALSE(Noticeable(LoadOf(1), longer));
}

TEST_CASE("the teller tells what changed and is silent about what did not") {
  std::atomic<uint32_t> wait = 100;
  std::atomic<int> asked = 0;
  testing::Collected<v1::Load> told;
  LoadTeller teller(
      [&] {
        ++asked;
        return LoadOf(wait);
      },
      [&](const v1::Load& load) { told.Add(load); }, std::chrono::milliseconds(1));
  REQUIRE(told.WaitFor(1).size() == 1);
  const int before = asked;
  REQUIRE(testing::Eventually([&] { return asked > before + 10; }));
  CHECK(told.Now().size() == 1);
  wait = 200;
  REQUIRE(told.WaitFor(2).size() == 2);
  CHECK(told.Now()[1].queue_wait_ms() == 200);
  teller.Stop();
  const int stopped = asked;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(asked == stopped);
}

}  // namespace emotion

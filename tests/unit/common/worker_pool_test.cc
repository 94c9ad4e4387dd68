#include "common/sync/worker_pool.h"

#include <atomic>
#include <future>

#include <catch2/catch.hpp>

namespace emotion {

TEST_CASE("a worker pool runs what it took before it ends, and refuses what exceeds its bound") {
  std::atomic<int> ran = 0;
  std::promise<void> started;
  std::promise<void> release;
  {
    WorkerPool pool(1, 2);
    REQUIRE(pool.Submit([&] {
      started.set_value();
      release.get_future().wait();
      ++ran;
    }));
    started.get_future().wait();  // the first task is off the queue now
    CHECK(pool.Submit([&] { ++ran; }));
    CHECK(pool.Submit([&] { ++ran; }));
    CHECK_FALSE(pool.Submit([&] { ++ran; }));
    release.set_value();
  }
  CHECK(ran == 3);
}

}  // namespace emotion

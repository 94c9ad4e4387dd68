#include "common/sync/long_slice.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <catch2/catch.hpp>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace emotion {
namespace {

int Nice() { return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); }

struct Standing {
  int policy;
  int nice;
};

Standing After(bool asked) {
  Standing standing = {};
  std::thread([&] {
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), Nice() + 3);
    if (asked) TakeLongSlices();
    standing = {.policy = sched_getscheduler(0), .nice = Nice()};
  }).join();
  return standing;
}

using Clock = std::chrono::steady_clock;
constexpr auto kGap = std::chrono::milliseconds(1);

bool StayOn(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  return sched_setaffinity(0, sizeof cores, &cores) == 0;
}

}  // namespace

TEST_CASE("a thread that takes long slices keeps its policy and its niceness") {
  const Standing usual = After(false);
  const Standing with_slices = After(true);
  CHECK(with_slices.policy == usual.policy);
  CHECK(with_slices.nice == usual.nice);
}

TEST_CASE("a thread under another policy is left alone") {
  int policy = -1;
  std::thread([&] {
    const sched_param batch = {};
    REQUIRE(sched_setscheduler(0, SCHED_BATCH, &batch) == 0);
    TakeLongSlices();
    policy = sched_getscheduler(0);
  }).join();
  CHECK(policy == SCHED_BATCH);
}

TEST_CASE("beside a busy thread, slices end between pieces of work") {
  const int core = sched_getcpu();
  std::atomic<bool> together = true;
  std::atomic<bool> done = false;
  std::thread busy([&] {
    if (!StayOn(core)) together = false;
    while (!done) {
    }
  });
  int between = 0;
  std::thread([&] {
    if (!StayOn(core)) together = false;
    const auto end = Clock::now() + std::chrono::milliseconds(500);
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
      while (Clock::now() - now < std::chrono::microseconds(50)) {  // the piece
      }
      const auto begin = Clock::now();
      EndSliceIfDue();
      if (Clock::now() - begin > kGap) ++between;
    }
  }).join();
  done = true;
  busy.join();
  CHECK(together);
  CHECK(between > 3);
}

}  // namespace emotion

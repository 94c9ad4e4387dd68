#include "common/sync/long_slice.h"

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

}  // namespace emotion

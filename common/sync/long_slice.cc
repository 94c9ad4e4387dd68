#include "common/sync/long_slice.h"

#include <cstdint>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace emotion {
namespace {

// As the kernel has it (linux/sched/types.h), in its first version; glibc 2.36 declares neither
// this nor the calls.
struct SchedAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;  // of a usual thread: its slice, nanoseconds, 100 us to 100 ms
  uint64_t deadline;
  uint64_t period;
};

constexpr uint64_t kSliceNs = 20'000'000;

void AskForSlice() {
  SchedAttributes attributes = {};
  attributes.size = sizeof attributes;
  // What it is now, so that only the slice changes.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;  // an operator chose something else
  attributes.size = sizeof attributes;
  attributes.runtime = kSliceNs;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

void TakeLongSlices() {
  thread_local const bool asked = (AskForSlice(), true);
  static_cast<void>(asked);
}

}  // namespace emotion

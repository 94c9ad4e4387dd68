#include "common/sync/long_slice.h"

#include <chrono>
#include <cstdint>
#include <thread>

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
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

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kSlice = milliseconds(4);
// What is left covers the piece that begins just before.
constexpr nanoseconds kOwnEnd = kSlice - std::chrono::microseconds(400);

nanoseconds ThreadTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

void AskForSlice() {
  SchedAttributes attributes = {};
  attributes.size = sizeof attributes;
  // What it is now, so that only the slice changes.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;  // an operator chose something else
  attributes.size = sizeof attributes;
  attributes.runtime = kSlice.count();
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

// A thread's, which begins with its construction.
class Slice {
 public:
  Slice() {
    AskForSlice();
    Begin();
  }

  // Asks the thread's own clock, which is a system call, only when enough time went by that the
  // slice may be over.
  void EndIfDue() {
    const auto now = Clock::now();
    if (now < look_) return;
    const nanoseconds used = ThreadTime() - begin_;
    if (used < kOwnEnd) {  // the core was another's meanwhile
      look_ = now + (kOwnEnd - used);
      return;
    }
    std::this_thread::yield();
    Begin();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void Begin() {
    begin_ = ThreadTime();
    look_ = Clock::now() + kOwnEnd;
  }

  nanoseconds begin_{};     // of the slice, by the thread's clock
  Clock::time_point look_;  // not over before
};

Slice& OwnSlice() {
  thread_local Slice slice;
  return slice;
}

}  // namespace

void TakeLongSlices() { OwnSlice(); }

void EndSliceIfDue() { OwnSlice().EndIfDue(); }

}  // namespace emotion

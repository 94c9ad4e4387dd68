// One thread that says when deadlines have passed.
//
// Safe from any thread. `expired` is called on the timer's thread, without a lock held, in the
// order of the deadlines; it must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <thread>
#include <utility>

#include "common/sync/mutex.h"

namespace emotion::embedding {

class DeadlineTimer {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit DeadlineTimer(std::function<void(uint64_t id)> expired);
  ~DeadlineTimer();  // joins; what has not expired never will

  void Add(uint64_t id, TimePoint deadline);

  // Takes back what Add was told, unless it has expired. `expired` may be running for it.
  void Remove(uint64_t id, TimePoint deadline);

 private:
  void Run();

  const std::function<void(uint64_t)> expired_;
  Mutex mutex_;
  CondVar changed_;
  std::set<std::pair<TimePoint, uint64_t>> deadlines_ GUARDED_BY(mutex_);
  // What the thread sleeps until, though that frame may be answered long since: a deadline after it
  // need not wake the thread, and most frames come and go while it sleeps.
  TimePoint wakes_at_ GUARDED_BY(mutex_) = TimePoint::max();
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: stops before what it uses goes
};

}  // namespace emotion::embedding

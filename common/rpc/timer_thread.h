// One thread that runs functions at given times: deadlines, reconnections, and answers that must
// not be given on the caller's stack. Functions must be short; they run one after the other,
// unlocked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <unordered_map>

#include "common/sync/mutex.h"

namespace emotion {

class TimerThread {
 public:
  using Clock = std::chrono::steady_clock;
  using Function = std::function<void()>;

  TimerThread();
  ~TimerThread();  // stops
  TimerThread(const TimerThread&) = delete;
  TimerThread& operator=(const TimerThread&) = delete;

  // Runs `function` at `time` or as soon as possible after it; equal times in the order of the
  // calls. Returns an id for Cancel, never 0. After Stop nothing is run.
  uint64_t At(Clock::time_point time, Function function);
  uint64_t Post(Function function) { return At(Clock::time_point::min(), std::move(function)); }

  // Does nothing when the function runs, ran, or the id is 0.
  void Cancel(uint64_t id);

  // Runs what is due (all that was posted), drops the rest, joins. Not from inside a function. Safe
  // to call twice.
  void Stop();

 private:
  using Key = std::pair<Clock::time_point, uint64_t>;

  void Run();
  bool NextIsDue() const REQUIRES_LOCK(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::map<Key, Function> waiting_ GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, Clock::time_point> times_ GUARDED_BY(mutex_);
  uint64_t last_id_ GUARDED_BY(mutex_) = 0;
  // What the thread sleeps until; what is due later need not wake it.
  Clock::time_point wakes_at_ GUARDED_BY(mutex_) = Clock::time_point::max();
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace emotion

#include "common/rpc/timer_thread.h"

#include <utility>

namespace emotion {

TimerThread::TimerThread() : thread_([this] { Run(); }) {}

TimerThread::~TimerThread() { Stop(); }

uint64_t TimerThread::At(Clock::time_point time, Function function) {
  MutexLock lock(mutex_);
  const uint64_t id = ++last_id_;
  if (stopping_) return id;
  waiting_.emplace(Key(time, id), std::move(function));
  times_.emplace(id, time);
  if (time < wakes_at_) changed_.NotifyAll();
  return id;
}

void TimerThread::Cancel(uint64_t id) {
  Function dropped;  // destroyed without the lock: it may own anything
  MutexLock lock(mutex_);
  const auto time = times_.find(id);
  if (time == times_.end()) return;
  const auto entry = waiting_.find(Key(time->second, id));
  dropped = std::move(entry->second);
  waiting_.erase(entry);
  times_.erase(time);
}

void TimerThread::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  std::map<Key, Function> dropped;
  MutexLock lock(mutex_);
  dropped = std::exchange(waiting_, {});
  times_.clear();
}

bool TimerThread::NextIsDue() const {
  return !waiting_.empty() && waiting_.begin()->first.first <= Clock::now();
}

void TimerThread::Run() {
  while (true) {
    Function function;
    {
      MutexLock lock(mutex_);
      while (!NextIsDue()) {
        if (stopping_) return;
        if (waiting_.empty()) {
          wakes_at_ = Clock::time_point::max();
          changed_.Wait(mutex_);
        } else {
          // Also when the entry is cancelled: deadlines come and go by the thousand, and the next
          // one is later.
          wakes_at_ = waiting_.begin()->first.first;
          changed_.WaitUntil(mutex_, wakes_at_);
        }
      }
      const auto first = waiting_.begin();
      function = std::move(first->second);
      times_.erase(first->first.second);
      waiting_.erase(first);
    }
    function();
  }
}

}  // namespace emotion

#include "embedding_service/deadline_timer.h"

namespace emotion::embedding {

DeadlineTimer::DeadlineTimer(std::function<void(uint64_t)> expired)
    : expired_(std::move(expired)), thread_([this] { Run(); }) {}

DeadlineTimer::~DeadlineTimer() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
}

void DeadlineTimer::Add(uint64_t id, TimePoint deadline) {
  const MutexLock lock(mutex_);
  deadlines_.emplace(deadline, id);
  if (deadline < wakes_at_) changed_.NotifyAll();
}

void DeadlineTimer::Remove(uint64_t id, TimePoint deadline) {
  const MutexLock lock(mutex_);
  deadlines_.erase({deadline, id});
}

void DeadlineTimer::Run() {
  mutex_.Lock();
  while (!stopping_) {
    if (deadlines_.empty()) {
      wakes_at_ = TimePoint::max();
      changed_.Wait(mutex_);
    } else if (const auto [deadline, id] = *deadlines_.begin();
               deadline > std::chrono::steady_clock::now()) {
      wakes_at_ = deadline;
      changed_.WaitUntil(mutex_, deadline);
    } else {
      deadlines_.erase(deadlines_.begin());
      mutex_.Unlock();
      expired_(id);
      mutex_.Lock();
    }
  }
  mutex_.Unlock();
}

}  // namespace emotion::embedding

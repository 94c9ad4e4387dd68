// Frames that a fake service keeps until its test lets them go. Thread-safe; answers are given
// without a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "common/error/error.h"
#include "common/rpc/frame_backend.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"

namespace emotion::testing {

template <class Result>
class HeldFrames {
 public:
  using Done = typename FrameBackend<Result>::Done;

  void Hold(uint64_t ticket, std::string image, Done done) {
    MutexLock lock(mutex_);
    held_[ticket] = {std::move(image), std::move(done)};
    changed_.NotifyAll();
  }

  // Answers the frame CANCELLED. False: it is not held (any more).
  bool Cancel(uint64_t ticket) {
    One one;
    {
      MutexLock lock(mutex_);
      auto found = held_.extract(ticket);
      if (found.empty()) return false;
      one = std::move(found.mapped());
    }
    ++cancelled_;
    Result result;
    ToProtoStatus(Error(Reason::kCancelled, "withdrawn"), result.mutable_status());
    one.done(std::move(result));
    return true;
  }

  // Answers all of now with what `fill` makes of their images.
  void Release(const std::function<void(const std::string& image, Result&)>& fill) {
    std::map<uint64_t, One> held;
    {
      MutexLock lock(mutex_);
      held.swap(held_);
    }
    for (auto& [ticket, one] : held) {
      Result result;
      fill(one.image, result);
      one.done(std::move(result));
    }
  }

  void WaitFor(size_t count) {
    MutexLock lock(mutex_);
    while (held_.size() < count) changed_.Wait(mutex_);
  }

  size_t size() {
    MutexLock lock(mutex_);
    return held_.size();
  }
  int cancelled() const { return cancelled_; }

 private:
  struct One {
    std::string image;
    Done done;
  };

  std::atomic<int> cancelled_ = 0;
  Mutex mutex_;
  CondVar changed_;
  std::map<uint64_t, One> held_ GUARDED_BY(mutex_);
};

}  // namespace emotion::testing

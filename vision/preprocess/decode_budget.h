// Bounds the memory of all decodes that run at once, so that a burst of large images makes callers
// wait instead of ending the process.
//
// A counting semaphore in bytes. Waiters are served in order: a large image is not overtaken for
// ever by small ones. Safe from any thread. Must outlive its Holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/status/statusor.h"
#include "common/sync/mutex.h"

namespace emotion::vision {

class DecodeBudget {
 public:
  // Gives its bytes back when it goes. Movable; an empty Hold holds nothing.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Hold() {
      if (budget_ != nullptr) budget_->Release(bytes_);
    }

   private:
    friend class DecodeBudget;
    Hold(DecodeBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}
    DecodeBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
  };

  // More lets more large images be decoded at once. A 4096 x 4096 progressive JPEG takes 152 MB, a
  // 640 x 480 frame 2 MB; start at 64 MiB a decode thread.
  explicit DecodeBudget(int64_t capacity_bytes) : capacity_(capacity_bytes) {}

  // Waits for `bytes`, at most until `deadline`; a deadline in the past does not wait. More than
  // the capacity is charged as the capacity: such an image is decoded alone. QUEUE_FULL when the
  // memory did not come free in time.
  absl::StatusOr<Hold> Acquire(int64_t bytes, std::chrono::steady_clock::time_point deadline)
      EXCLUDES_LOCK(mutex_);

  int64_t bytes_in_use() const EXCLUDES_LOCK(mutex_);

 private:
  void Release(int64_t bytes) EXCLUDES_LOCK(mutex_);

  const int64_t capacity_;

  mutable Mutex mutex_;
  CondVar changed_;
  int64_t in_use_ GUARDED_BY(mutex_) = 0;
  uint64_t next_ticket_ GUARDED_BY(mutex_) = 0;
  std::deque<uint64_t> waiting_ GUARDED_BY(mutex_);  // tickets, first come first
};

}  // namespace emotion::vision

#include "vision/preprocess/decode_budget.h"

#include <algorithm>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {

absl::StatusOr<DecodeBudget::Hold> DecodeBudget::Acquire(
    int64_t bytes, std::chrono::steady_clock::time_point deadline) {
  bytes = std::clamp(bytes, int64_t{0}, capacity_);
  MutexLock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  waiting_.push_back(ticket);
  bool in_time = true;
  while (in_time && (waiting_.front() != ticket || in_use_ + bytes > capacity_)) {
    in_time = changed_.WaitUntil(mutex_, deadline);
  }
  const bool granted = waiting_.front() == ticket && in_use_ + bytes <= capacity_;
  std::erase(waiting_, ticket);
  // Whoever stands behind may go now, whether we got in or gave up.
  changed_.NotifyAll();
  if (!granted) {
    return Error(Reason::kQueueFull, fmt::format("decoding needs {} bytes; {} of {} are in use",
                                                 bytes, in_use_, capacity_));
  }
  in_use_ += bytes;
  return Hold(this, bytes);
}

int64_t DecodeBudget::bytes_in_use() const {
  MutexLock lock(mutex_);
  return in_use_;
}

void DecodeBudget::Release(int64_t bytes) {
  MutexLock lock(mutex_);
  in_use_ -= bytes;
  changed_.NotifyAll();
}

}  // namespace emotion::vision

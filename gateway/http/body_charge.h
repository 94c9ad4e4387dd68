// What one body adds to the bytes that all bodies in flight hold; given back at the end.
#pragma once

#include <atomic>
#include <cstddef>

namespace emotion::gateway {

class BodyCharge {
 public:
  // `total` outlives the charge.
  explicit BodyCharge(std::atomic<size_t>& total) : total_(total) {}
  ~BodyCharge() { total_ -= charged_; }
  BodyCharge(const BodyCharge&) = delete;
  BodyCharge& operator=(const BodyCharge&) = delete;

  // False when all bodies together are then over `limit`. `bytes` never shrinks.
  bool GrowTo(size_t bytes, size_t limit) {
    const size_t more = bytes - charged_;
    charged_ = bytes;
    return total_.fetch_add(more) + more <= limit;
  }

 private:
  std::atomic<size_t>& total_;
  size_t charged_ = 0;
};

}  // namespace emotion::gateway

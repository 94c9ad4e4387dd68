// How long to wait before the next attempt: growing, jittered, bounded.
#pragma once

#include <algorithm>
#include <chrono>

namespace emotion {

class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most)
      : first_(first), most_(most), next_(first) {}

  // The next delay, 1.6 times the one before, times 0.8 to 1.2. `random` is in [0, 1).
  std::chrono::milliseconds Next(double random) {
    const double delay = static_cast<double>(next_.count());
    next_ = std::min(most_, std::chrono::milliseconds(static_cast<int64_t>(delay * 1.6)));
    return std::chrono::milliseconds(static_cast<int64_t>(delay * (0.8 + 0.4 * random)));
  }

  void Reset() { next_ = first_; }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds most_;
  std::chrono::milliseconds next_;
};

}  // namespace emotion

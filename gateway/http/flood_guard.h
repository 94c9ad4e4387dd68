// Counts messages against a rate: a token bucket.
#pragma once

#include <algorithm>
#include <chrono>

namespace emotion::gateway {

class FloodGuard {
 public:
  using Clock = std::chrono::steady_clock;

  // `burst` messages at once, refilled at `per_second`.
  FloodGuard(double per_second, double burst, Clock::time_point now)
      : per_second_(per_second), burst_(burst), tokens_(burst), last_(now) {}

  // False: one too many.
  bool Take(Clock::time_point now) {
    const double passed = std::chrono::duration<double>(now - last_).count();
    tokens_ = std::min(burst_, tokens_ + std::max(passed, 0.0) * per_second_) - 1;
    last_ = now;
    if (tokens_ >= 0) return true;
    tokens_ = 0;
    return false;
  }

 private:
  const double per_second_;
  const double burst_;
  double tokens_;
  Clock::time_point last_;
};

}  // namespace emotion::gateway

#include "common/redis/circuit_breaker.h"

#include <algorithm>
#include <cstdint>

namespace emotion {

std::chrono::milliseconds JitteredDelay(int attempt, std::chrono::milliseconds first,
                                        std::chrono::milliseconds longest, double random) {
  const int64_t doubled = first.count() << std::clamp(attempt, 0, 16);
  const int64_t bound = std::min<int64_t>(longest.count(), doubled);
  return std::chrono::milliseconds(static_cast<int64_t>(static_cast<double>(bound) * random));
}

void CircuitBreaker::Success() {
  if (state_ != State::kClosed || weight_ == 0) return;
  --weight_;
  if (weight_ == 0) openings_ = 0;
}

void CircuitBreaker::Failure(TimePoint now, double random) {
  if (state_ != State::kClosed) return;
  weight_ += options_.failure_weight;
  if (weight_ >= options_.opens_at) Open(now, random);
}

bool CircuitBreaker::StartProbe(TimePoint now) {
  if (state_ != State::kOpen || now < probe_at_) return false;
  state_ = State::kHalfOpen;
  return true;
}

void CircuitBreaker::ProbeSucceeded() {
  if (state_ != State::kHalfOpen) return;
  state_ = State::kClosed;
  weight_ = std::max(options_.opens_at - options_.failure_weight, 0);
}

void CircuitBreaker::ProbeFailed(TimePoint now, double random) {
  if (state_ == State::kHalfOpen) Open(now, random);
}

void CircuitBreaker::Open(TimePoint now, double random) {
  state_ = State::kOpen;
  probe_at_ = now + JitteredDelay(openings_, options_.first_delay, options_.longest_delay, random);
  openings_ = std::min(openings_ + 1, 1000);
}

}  // namespace emotion

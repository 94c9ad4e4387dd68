// When to leave a server alone that fails, and when to look after it again. Rules only: no clock,
// no thread, no lock; who uses it brings the time and the dice.
//
//   closed     what is asked goes through. Each failure weighs `failure_weight`, each success takes
//              1 off again: `opens_at` opens it, be it some failures in a row or many among a
//              crowd of successes.
//   open       nothing goes through for a delay: full jitter (anything from 0) of a bound that
//              doubles with each opening, up to `longest_delay`.
//   half-open  one probe is under way: it closes the breaker, or opens it for another delay.
//
// A breaker that just closed stands one failure away from opening, and its next delay is still
// long, until successes have worn the weight off.
#pragma once

#include <chrono>

namespace emotion {

struct BreakerOptions {
  int failure_weight = 10;
  int opens_at = 30;
  std::chrono::milliseconds first_delay{50};
  std::chrono::milliseconds longest_delay{1000};
};

// The delay before attempt `attempt` (0, 1, ...): `random`, in [0, 1), of a bound that doubles.
std::chrono::milliseconds JitteredDelay(int attempt, std::chrono::milliseconds first,
                                        std::chrono::milliseconds longest, double random);

class CircuitBreaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(BreakerOptions options = {}) : options_(options) {}

  State state() const { return state_; }
  bool closed() const { return state_ == State::kClosed; }
  // When an open breaker allows a probe.
  TimePoint probe_at() const { return probe_at_; }

  // What was asked while the breaker was closed went well or not. Reports that arrive while it is
  // not closed are of the past and change nothing.
  void Success();
  void Failure(TimePoint now, double random);

  // True once when an open breaker's delay is over: the caller then probes, and reports it.
  bool StartProbe(TimePoint now);
  void ProbeSucceeded();
  void ProbeFailed(TimePoint now, double random);

 private:
  void Open(TimePoint now, double random);

  BreakerOptions options_;
  State state_ = State::kClosed;
  int weight_ = 0;
  int openings_ = 0;  // since all was well
  TimePoint probe_at_{};
};

}  // namespace emotion

#include "common/redis/circuit_breaker.h"

#include <catch2/catch.hpp>

namespace emotion {
namespace {

using std::chrono::milliseconds;
using State = CircuitBreaker::State;

constexpr BreakerOptions kOptions = {.failure_weight = 10,
                                     .opens_at = 30,
                                     .first_delay = milliseconds(50),
                                     .longest_delay = milliseconds(1000)};
// The dice show the longest delay.
constexpr double kMost = 0.9999999;

struct Fixture {
  CircuitBreaker breaker{kOptions};
  CircuitBreaker::TimePoint now{};

  void Fail(int times = 1) {
    for (int i = 0; i < times; ++i) breaker.Failure(now, kMost);
  }
  void Succeed(int times) {
    for (int i = 0; i < times; ++i) breaker.Success();
  }
  milliseconds Delay() const { return std::chrono::ceil<milliseconds>(breaker.probe_at() - now); }
  bool ProbeAfterDelay() {
    now = breaker.probe_at();
    return breaker.StartProbe(now);
  }
};

TEST_CASE_METHOD(Fixture, "three failures in a row open a breaker, two do not") {
  Fail(2);
  CHECK(breaker.closed());
  Fail();
  CHECK(breaker.state() == State::kOpen);
}

TEST_CASE_METHOD(Fixture, "one failure in twenty is borne for ever, one in five is not") {
  for (int i = 0; i < 1000; ++i) {
    Fail();
    Succeed(19);
  }
  CHECK(breaker.closed());
  for (int i = 0; i < 10; ++i) {
    Fail();
    Succeed(4);
  }
  CHECK_FALSE(breaker.closed());
}

TEST_CASE_METHOD(Fixture, "an open breaker lets one probe through, once its delay is over") {
  Fail(3);
  CHECK_FALSE(breaker.StartProbe(breaker.probe_at() - milliseconds(1)));
  REQUIRE(ProbeAfterDelay());
  CHECK(breaker.state() == State::kHalfOpen);
  CHECK_FALSE(breaker.StartProbe(now));
  CHECK_FALSE(breaker.StartProbe(now + milliseconds(10'000)));
}

TEST_CASE_METHOD(Fixture, "delays double with each failed probe, up to the longest") {
  Fail(3);
  for (const int bound : {50, 100, 200, 400, 800, 1000, 1000}) {
    CHECK(Delay() <= milliseconds(bound));
    CHECK(Delay() >= milliseconds(bound - 1));
    REQUIRE(ProbeAfterDelay());
    breaker.ProbeFailed(now, kMost);
  }
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(ProbeAfterDelay());
    breaker.ProbeFailed(now, kMost);
  }
  CHECK(Delay() <= milliseconds(1000));
}

TEST_CASE_METHOD(Fixture, "after a good probe one more failure opens again, and for longer") {
  Fail(3);
  REQUIRE(ProbeAfterDelay());
  breaker.ProbeSucceeded();
  CHECK(breaker.closed());
  Fail();
  CHECK_FALSE(breaker.closed());
  CHECK(Delay() > milliseconds(50));
}

TEST_CASE_METHOD(Fixture, "successes wear off what happened") {
  Fail(3);
  REQUIRE(ProbeAfterDelay());
  breaker.ProbeSucceeded();
  Succeed(20);
  Fail(2);
  CHECK(breaker.closed());
  Fail();
  CHECK(Delay() <= milliseconds(50));
}

TEST_CASE_METHOD(Fixture, "reports of the past change nothing while the breaker is not closed") {
  Fail(3);
  const auto probe_at = breaker.probe_at();
  Fail(5);
  Succeed(100);
  CHECK(breaker.state() == State::kOpen);
  CHECK(breaker.probe_at() == probe_at);
  breaker.ProbeSucceeded();  // nobody probes
  CHECK(breaker.state() == State::kOpen);
}

TEST_CASE("jitter is full: a delay is anything from nothing to its bound") {
  CHECK(JitteredDelay(3, milliseconds(50), milliseconds(1000), 0) == milliseconds(0));
  CHECK(JitteredDelay(3, milliseconds(50), milliseconds(1000), 0.5) == milliseconds(200));
  CHECK(JitteredDelay(1'000'000, milliseconds(50), milliseconds(1000), 0.5) == milliseconds(500));
}

}  // namespace
}  // namespace emotion

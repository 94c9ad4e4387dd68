#include "bench/near/drift.h"

#include <cmath>

namespace emotion::bench {
namespace {

// Means of exponential waits.
constexpr double kSettleSeconds = 20;
constexpr double kPostureSeconds = 60;
constexpr double kLampSeconds = 90;

bool Happens(double seconds, double mean_wait, training::Random& random) {
  return random.Chance(1 - std::exp(-seconds / mean_wait));
}

}  // namespace

double Wander::Step(double seconds, training::Random& random) {
  const double kept = std::exp(-seconds / memory_s_);
  value_ = value_ * kept + random.Normal(0, spread_ * std::sqrt(1 - kept * kept));
  return value_;
}

DriftWalk::DriftWalk(uint64_t seed, Temper temper)
    : random_(seed),
      settles_(temper == Temper::kCalm),
      x_(settles_ ? 0.25 : 1, settles_ ? 3 : 6),
      y_(settles_ ? 0.2 : 0.8, settles_ ? 3 : 6),
      scale_(settles_ ? 0.002 : 0.008, 8),
      tilt_(settles_ ? 0.2 : 0.8, 8),
      yaw_(settles_ ? 0.006 : 0.025, 8) {}

void DriftWalk::MaybeSettle(double seconds) {
  if (!settles_ || !Happens(seconds, kSettleSeconds, random_)) return;
  settled_ = {.shift_x = random_.Normal(0, 1.2),
              .shift_y = random_.Normal(0, 1),
              .scale = 1 + random_.Normal(0, 0.01),
              .tilt = random_.Normal(0, 1),
              .yaw = random_.Normal(0, 0.03)};
}

void DriftWalk::MaybeSitUp(double seconds) {
  if (!Happens(seconds, kPostureSeconds, random_)) return;
  posture_ = {.shift_x = random_.Normal(0, 3),
              .shift_y = random_.Normal(0, 2.5),
              .scale = 1 + random_.Normal(0, 0.03),
              .tilt = random_.Normal(0, 2.5),
              .yaw = random_.Normal(0, 0.08)};
}

void DriftWalk::MaybeSwitchLamp(double seconds) {
  if (Happens(seconds, kLampSeconds, random_)) lamp_ = random_.Uniform(0.8, 1.15);
}

Drift DriftWalk::Step(double seconds) {
  MaybeSettle(seconds);
  MaybeSitUp(seconds);
  MaybeSwitchLamp(seconds);
  Drift drift;
  drift.shift_x = posture_.shift_x + settled_.shift_x + x_.Step(seconds, random_);
  drift.shift_y = posture_.shift_y + settled_.shift_y + y_.Step(seconds, random_);
  drift.scale = posture_.scale * settled_.scale * (1 + scale_.Step(seconds, random_));
  drift.tilt = posture_.tilt + settled_.tilt + tilt_.Step(seconds, random_);
  drift.yaw = posture_.yaw + settled_.yaw + yaw_.Step(seconds, random_);
  drift.exposure = lamp_ * std::exp(light_.Step(seconds, random_));
  drift.slope = slope_.Step(seconds, random_);
  drift.warmth = warmth_.Step(seconds, random_);
  return drift;
}

}  // namespace emotion::bench

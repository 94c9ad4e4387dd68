// What changes in front of a webcam while nothing happens: a head that is never quite still,
// someone who sits up from time to time, light that drifts and sometimes jumps.
//
// A random walk in time, so that frames 2 s apart differ by more than frames 0.5 s apart; the same
// seed and period give the same walk. Pure.
#pragma once

#include <cstdint>

#include "training/demo/random.h"

namespace emotion::bench {

// Against the sitting's first moment.
struct Drift {
  double shift_x = 0;   // pixels of a 112-pixel crop
  double shift_y = 0;   // pixels
  double scale = 1;     // of the face
  double tilt = 0;      // degrees
  double yaw = 0;       // -1 .. 1, 33 degrees each
  double exposure = 1;  // factor
  double slope = 0;     // one side brighter
  double warmth = 0;    // colour of the light
};

// A value that wanders around 0 and is drawn back to it (Ornstein and Uhlenbeck).
class Wander {
 public:
  // `spread` is its standard deviation in the long run, `memory_s` how long it takes to forget.
  Wander(double spread, double memory_s) : spread_(spread), memory_s_(memory_s) {}

  // `seconds` later.
  double Step(double seconds, training::Random& random);

 private:
  double spread_;
  double memory_s_;
  double value_ = 0;
};

// How still a head is held. One pixel of the crop is about 2.5 mm of a head.
enum class Temper {
  kCalm,      // sways by a quarter of a pixel and settles anew every 20 s
  kRestless,  // wanders by a pixel all the time
};

class DriftWalk {
 public:
  DriftWalk(uint64_t seed, Temper temper);

  Drift Step(double seconds);

 private:
  void MaybeSettle(double seconds);
  // Into another posture.
  void MaybeSitUp(double seconds);
  void MaybeSwitchLamp(double seconds);

  training::Random random_;
  bool settles_;
  Wander x_, y_, scale_, tilt_, yaw_;
  Wander light_{0.04, 15}, slope_{0.02, 20}, warmth_{0.03, 30};
  Drift posture_, settled_;
  double lamp_ = 1;
};

}  // namespace emotion::bench

// How fast the encoder is: a moving average of the time that one patch costs.
//
// Everything that speaks of waiting (admission, Load, next_frame_after_ms) comes from this one
// number. Not thread-safe: it belongs to the queue that feeds it.
#pragma once

#include <chrono>
#include <cstdint>

namespace emotion::embedding {

class EncodePace {
 public:
  // One encode of `patches` patches took `duration`. Ignored when patches <= 0.
  void Record(int64_t patches, std::chrono::nanoseconds duration);

  // The time that `patches` patches will take; 0 while nothing was measured.
  std::chrono::nanoseconds Estimate(int64_t patches) const;

 private:
  double nanoseconds_per_patch_ = 0;  // 0: nothing measured yet
};

}  // namespace emotion::embedding

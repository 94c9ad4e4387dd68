// How long an encode takes: a fixed part (starting kernels, reading the weights) and a part per
// patch. With a single number per patch, a row of small batches would make large ones look slow.
//
// Each encode moves both parts towards what was measured, by a third of the error (normalised least
// mean squares), so a change of pace is followed within a few encodes at every size, and no size
// keeps a memory of its own that could only be corrected by an encode of that very size. Not
// thread-safe: it belongs to the queue that feeds it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

namespace emotion::embedding {

// One encode that was measured.
struct MeasuredEncode {
  int64_t patches = 0;
  std::chrono::nanoseconds duration{0};
};

class EncodePace {
 public:
  // No estimate is longer, so that sums of estimates stay within their type.
  static constexpr std::chrono::nanoseconds kLongest = std::chrono::hours(24);

  // Starts from encodes of several sizes, such as a self-test's: the line through them. Replaces
  // what was known; without an encode of patches > 0 nothing is known.
  void Learn(std::span<const MeasuredEncode> encodes);

  // One encode more. Ignored when patches <= 0. What took over four times the estimate counts as
  // four times: a machine that paused once must not close the door.
  void Record(int64_t patches, std::chrono::nanoseconds duration);

  // The time that one encode of `patches` patches will take, a day at most; 0 while nothing was
  // measured, and for no patches.
  std::chrono::nanoseconds Estimate(int64_t patches) const;

 private:
  double EstimateNs(double patches) const { return fixed_ns_ + per_patch_ns_ * patches; }

  double fixed_ns_ = 0;
  double per_patch_ns_ = 0;
  double largest_ = 0;  // patches of the largest encode; 0: nothing measured yet
};

}  // namespace emotion::embedding

// An encoder that takes as long as it is told to and computes nothing: a device of any speed, on
// any machine.
#pragma once

#include <chrono>

#include "vision/encoder/vision_encoder.h"

namespace emotion::bench {

inline constexpr int kTimedDim = 16;

// A batch takes `per_batch` whatever its size, as on a GPU that is not full, and `per_frame` for
// each of its frames, as on a CPU.
struct EncodeTime {
  std::chrono::microseconds per_batch{20'000};
  std::chrono::microseconds per_frame{0};
};

// The vectors are sums over the patches: different pictures give different ones.
class TimedEncoder final : public vision::VisionEncoder {
 public:
  explicit TimedEncoder(const EncodeTime& time);

  const vision::EncoderInfo& info() const override { return info_; }
  absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const vision::Patches* const> images) override;

 private:
  const EncodeTime time_;
  vision::EncoderInfo info_;
};

}  // namespace emotion::bench

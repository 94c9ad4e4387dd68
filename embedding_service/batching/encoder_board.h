// What each encoder is doing, and so when the next batches can begin. Pure: told what time it is.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "embedding_service/batching/encode_pace.h"
#include "embedding_service/batching/place.h"
#include "embedding_service/batching/work_ahead.h"

namespace emotion::embedding {

// For a frame with some work ahead of it.
struct WaitEstimate {
  std::chrono::nanoseconds wait{0};    // until its encode begins
  std::chrono::nanoseconds ahead{0};   // until the work ahead of it is done
  std::chrono::nanoseconds answer{0};  // until its own encode is done
};

class EncoderBoard {
 public:
  // `max_frames`, `max_patches`: of one encode. At least one encoder.
  EncoderBoard(size_t encoders, size_t max_frames, int64_t max_patches);

  EncodePace& pace() { return pace_; }
  const EncodePace& pace() const { return pace_; }

  // REQUIRES: the encoder is free / is busy.
  void Began(size_t encoder, int64_t patches, TimePoint now);
  void Ended(size_t encoder, TimePoint now, bool measured);

  bool AnyFree() const;
  bool AllFree() const;

  // This encoder takes at most `frames` frames at once until then.
  void Limit(size_t encoder, size_t frames, TimePoint until);
  size_t MaxFrames(size_t encoder, TimePoint now) const;

  // For a frame of `patches` patches. The work ahead goes in full batches, the rest of it together
  // with the frame; each batch goes to the encoder that is free first.
  WaitEstimate Estimate(const Work& ahead, int64_t patches, TimePoint now) const;

 private:
  struct Encoder {
    std::optional<TimePoint> since;  // set while it is busy
    int64_t patches = 0;
    size_t limited_frames = 0;
    TimePoint limited_until{};
  };

  // When the batch begins that has `batches` others of duration `each` before it.
  std::chrono::nanoseconds Begin(int64_t batches, std::chrono::nanoseconds each,
                                 TimePoint now) const;
  std::chrono::nanoseconds FreeIn(const Encoder& encoder, TimePoint now) const;

  const size_t max_frames_;
  const int64_t max_patches_;
  EncodePace pace_;
  std::vector<Encoder> encoders_;
};

}  // namespace emotion::embedding

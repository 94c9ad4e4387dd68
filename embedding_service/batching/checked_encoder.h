// Around a VisionEncoder: its promises checked, and what can be done when it does not keep one.
// BatchRunner's; the threads are its.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::embedding {

using Images = std::span<const vision::Patches* const>;
using Vectors = absl::StatusOr<std::vector<std::vector<float>>>;  // one per image, in order
using EncoderFactory = std::function<absl::StatusOr<std::unique_ptr<vision::VisionEncoder>>()>;

// One call of the encoder. Never throws, whatever the encoder throws: INTERNAL. OK means a vector
// of dim values for every image.
Vectors CheckedEncode(vision::VisionEncoder& encoder, Images images);

// True when all values are finite and within fp16's range.
bool FitsFp16(const std::vector<float>& vector);

// Encodes single images in fp32, with one encoder of its own for all threads, made when first
// needed: it costs that image the loading time, and memory from then on. Safe from any thread.
class Fp32Rerun {
 public:
  // `make` may be empty: then every image fails.
  explicit Fp32Rerun(EncoderFactory make) : make_(std::move(make)) {}

  // A vector that fits fp16, or INTERNAL.
  absl::StatusOr<std::vector<float>> Encode(const vision::Patches& image);

 private:
  const EncoderFactory make_;
  Mutex mutex_;  // held while encoding: an encoder takes one call at a time
  std::unique_ptr<vision::VisionEncoder> encoder_ GUARDED_BY(mutex_);
};

}  // namespace emotion::embedding

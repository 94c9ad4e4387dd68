// The size that the encoder's own preprocessing gives an image: transformers' smart_resize.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

struct SmartResizeRule {
  int factor = 28;                      // pixels a side of one output token: patch x merge
  int64_t min_pixels = 3136;            // area of the result is at least this (but for rounding)
  int64_t max_pixels = 28 * 28 * 1280;  // and at most this
};

// Rounds both sides to multiples of `factor` (ties to even) and keeps the area within the bounds,
// the aspect ratio as near as it gets. Equal to the reference for every size, floating point
// included. IMAGE_DIMENSIONS when a side is 0 or one side is over 200 times the other.
absl::StatusOr<ImageSize> SmartResize(ImageSize size, const SmartResizeRule& rule);

}  // namespace emotion::vision

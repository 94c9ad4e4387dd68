// What a frame from the wire must look like: every field against its limit, before it costs
// anything.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/status/statusor.h"
#include "embedding_service/frame_request.h"

namespace emotion::v1 {
class Frame;
}

namespace emotion::embedding {

struct FrameLimits {
  size_t max_image_bytes = size_t{4} << 20;
  std::chrono::milliseconds max_timeout{10'000};  // longer ones are cut to it; 0 means it
  int max_patches = 1024;                         // of one image
};

// Moves the image out of `frame`. Unspecified fields get the defaults of Embed: native size, EXIF
// ignored, no detection. `preparer` knows which sizes fit the encoder. `now_us` stands in for
// accepted_at_us = 0.
//
// Errors: FIELD_INVALID names every field that is wrong; alone come IMAGE_TOO_LARGE, and
// IMAGE_DIMENSIONS for a heads' input over max_patches.
absl::StatusOr<FrameRequest> CheckFrame(v1::Frame& frame, const FrameLimits& limits,
                                        const vision::ImagePreparer& preparer, int64_t now_us);

}  // namespace emotion::embedding

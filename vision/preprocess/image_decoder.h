// Pixels out of JPEG, PNG and WebP, as Pillow's `Image.open(f).convert("RGB")` gives them.
//
// libjpeg-turbo, libpng and libwebp decode with Pillow's settings (accurate integer DCT, smooth
// chroma upsampling, no gamma or colour profile applied, alpha dropped and never blended). PNG is
// equal bit for bit; JPEG may differ by one step where the library's version differs. EXIF
// orientation is not applied: vision/preprocess/orientation.h does that.
//
// Costs a few milliseconds to 200 ms of CPU (4096 x 4096): call it from a pool made for it, never
// from a thread that serves sockets. Pure functions, safe from any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"
#include "vision/preprocess/image_header.h"

namespace emotion::vision {

// Decodes what InspectImage accepted; `header` must be its answer for these bytes. The result has
// the header's size. Errors: IMAGE_CORRUPT when the compressed data is damaged or ends early, also
// where a lenient decoder would paint the rest grey.
absl::StatusOr<RgbImage> DecodeImage(std::string_view bytes, const ImageHeader& header);

// An upper estimate of the memory that DecodeImage holds at its peak, result included.
int64_t DecodePeakBytes(const ImageHeader& header);

}  // namespace emotion::vision

// One header parser per format, behind InspectImage: the bytes are known to begin with the format's
// magic and to be no more than the limit. Errors as InspectImage's.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "vision/preprocess/image_header.h"

namespace emotion::vision {

absl::StatusOr<ImageHeader> ParseJpegHeader(std::string_view bytes, const DecodeLimits& limits);
absl::StatusOr<ImageHeader> ParsePngHeader(std::string_view bytes, const DecodeLimits& limits);
absl::StatusOr<ImageHeader> ParseWebpHeader(std::string_view bytes, const DecodeLimits& limits);

}  // namespace emotion::vision

// One decoder per format, behind DecodeImage. Each fills `image.pixels`, which has room for exactly
// `image.size`, and fails with IMAGE_CORRUPT when the file is damaged or has another size. On
// failure the pixels are unspecified.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

absl::Status DecodeJpeg(std::string_view bytes, RgbImage& image);
absl::Status DecodePng(std::string_view bytes, RgbImage& image);
absl::Status DecodeWebp(std::string_view bytes, RgbImage& image);

}  // namespace emotion::vision

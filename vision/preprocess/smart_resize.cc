#include "vision/preprocess/smart_resize.h"

#include <algorithm>
#include <cmath>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

constexpr double kMaxAspect = 200;

// Python's round(side / factor): ties go to even, as the default rounding mode of nearbyint does.
int64_t RoundToFactor(double side, int factor) {
  return static_cast<int64_t>(std::nearbyint(side / factor)) * factor;
}

int64_t FloorToFactor(double side, double beta, int factor) {
  const auto multiple = static_cast<int64_t>(std::floor(side / beta / factor)) * factor;
  return std::max<int64_t>(factor, multiple);
}

int64_t CeilToFactor(double side, double beta, int factor) {
  return static_cast<int64_t>(std::ceil(side * beta / factor)) * factor;
}

}  // namespace

absl::StatusOr<ImageSize> SmartResize(ImageSize size, const SmartResizeRule& rule) {
  const double width = size.width;
  const double height = size.height;
  if (std::min(width, height) < 1 ||
      std::max(width, height) / std::min(width, height) > kMaxAspect) {
    return Error(Reason::kImageDimensions,
                 fmt::format("image is {} x {} pixels; the aspect ratio must be within 1:{}",
                             size.width, size.height, kMaxAspect));
  }
  int64_t new_width = RoundToFactor(width, rule.factor);
  int64_t new_height = RoundToFactor(height, rule.factor);
  if (new_width * new_height > rule.max_pixels) {
    const double beta = std::sqrt(height * width / static_cast<double>(rule.max_pixels));
    new_width = FloorToFactor(width, beta, rule.factor);
    new_height = FloorToFactor(height, beta, rule.factor);
  } else if (new_width * new_height < rule.min_pixels) {
    const double beta = std::sqrt(static_cast<double>(rule.min_pixels) / (height * width));
    new_width = CeilToFactor(width, beta, rule.factor);
    new_height = CeilToFactor(height, beta, rule.factor);
  }
  return ImageSize{static_cast<int>(new_width), static_cast<int>(new_height)};
}

}  // namespace emotion::vision

#include "vision/preprocess/image_preparer.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/orientation.h"
#include "vision/preprocess/resize_bicubic.h"
#include "vision/preprocess/smart_resize.h"

namespace emotion::vision {
namespace {

constexpr int64_t kBytesPerPixel = 3;

int OrientationOf(const ImageHeader& header, const PrepareOptions& options) {
  return options.orientation == OrientationMode::kApplyExif ? header.exif_orientation : 1;
}

// The decode's peak, or the upright copy beside the image, whichever is more.
int64_t MemoryOf(const ImageHeader& header) {
  const int64_t pixels = int64_t{header.size.width} * header.size.height;
  const int64_t turned = header.exif_orientation == 1 ? 0 : 2 * pixels * kBytesPerPixel;
  return std::max(DecodePeakBytes(header), turned);
}

absl::Status CheckHeadsInput(ImageSize size, int factor) {
  const std::pair<const char*, int> sides[] = {{"resize_width", size.width},
                                               {"resize_height", size.height}};
  for (const auto& [field, side] : sides) {
    if (side < factor || side % factor != 0) {
      return FieldError(
          field, fmt::format("must be a positive multiple of {} pixels; was {}", factor, side));
    }
  }
  return absl::OkStatus();
}

}  // namespace

ImagePreparer::ImagePreparer(const Settings& settings)
    : settings_(settings), patchifier_(settings.config) {}

absl::StatusOr<ImageSize> ImagePreparer::TargetSize(ImageSize size,
                                                    const PrepareOptions& options) const {
  absl::StatusOr<ImageSize> target = options.heads_input;
  if (options.resize == ResizeMode::kNative) {
    target = SmartResize(size, settings_.config.resize_rule());
  } else if (absl::Status status = CheckHeadsInput(*target, settings_.config.factor());
             !status.ok()) {
    return status;
  }
  if (!target.ok()) return target;
  const int64_t patches = int64_t{target->width / settings_.config.patch_size} *
                          (target->height / settings_.config.patch_size);
  if (options.max_patches > 0 && patches > options.max_patches) {
    return Error(
        Reason::kImageDimensions,
        fmt::format("image of {} x {} pixels gives {} patches at {} x {}; MAX_PATCHES is {}",
                    size.width, size.height, patches, target->width, target->height,
                    options.max_patches));
  }
  return target;
}

absl::StatusOr<DecodedImage> ImagePreparer::Decode(std::string_view bytes,
                                                   const PrepareOptions& options) const {
  auto header = InspectImage(bytes, settings_.limits);
  if (!header.ok()) return header.status();
  const int orientation = OrientationOf(*header, options);
  if (const auto target = TargetSize(OrientedSize(header->size, orientation), options);
      !target.ok()) {
    return target.status();
  }
  DecodedImage decoded{*header, {}, {}};
  if (settings_.budget != nullptr) {
    auto memory = settings_.budget->Acquire(MemoryOf(*header), options.deadline);
    if (!memory.ok()) return memory.status();
    decoded.memory = *std::move(memory);
  }
  auto image = DecodeImage(bytes, *header);
  if (!image.ok()) return image.status();
  decoded.image = ApplyExifOrientation(*std::move(image), orientation);
  return decoded;
}

absl::StatusOr<PreparedImage> ImagePreparer::Fit(RgbImage image,
                                                 const PrepareOptions& options) const {
  const ImageSize sent = image.size;
  const auto target = TargetSize(sent, options);
  if (!target.ok()) return target.status();
  PreparedImage prepared;
  // A frame at the heads' input is measured after the resize, which is done anyway.
  const bool measure_late = options.resize == ResizeMode::kHeadsInput;
  if (!measure_late) prepared.quality = AssessQuality(sent, image);
  prepared.image = ResizeBicubic(std::move(image), *target);
  if (measure_late) prepared.quality = AssessQuality(sent, prepared.image);
  return prepared;
}

absl::Status ImagePreparer::Cut(PreparedImage& image) const {
  auto patches = patchifier_.Still(image.image);
  if (!patches.ok()) return patches.status();
  image.patches = *std::move(patches);
  return absl::OkStatus();
}

absl::StatusOr<PreparedImage> ImagePreparer::Prepare(RgbImage image,
                                                     const PrepareOptions& options) const {
  auto prepared = Fit(std::move(image), options);
  if (!prepared.ok()) return prepared;
  if (absl::Status cut = Cut(*prepared); !cut.ok()) return cut;
  return prepared;
}

absl::StatusOr<PreparedImage> ImagePreparer::Prepare(std::string_view bytes,
                                                     const PrepareOptions& options) const {
  auto decoded = Decode(bytes, options);
  if (!decoded.ok()) return decoded.status();
  return Prepare(std::move(decoded->image), options);
}

}  // namespace emotion::vision

// From the bytes that someone sent to what the encoder takes: the front door of this folder.
//
//   bytes --Decode--> upright pixels --Prepare--> resized pixels, patches, quality
//
// The two steps are apart so that face detection can look at the pixels, and cut a face out of
// them, in between. Everything that can be refused by the header alone (size, kind, number of
// patches) is refused before pixels are allocated. Const and safe from any thread; a call costs
// milliseconds of CPU and may wait for decode memory, so give it threads of its own.
#pragma once

#include <chrono>
#include <string_view>

#include "absl/status/statusor.h"
#include "vision/preprocess/decode_budget.h"
#include "vision/preprocess/image.h"
#include "vision/preprocess/image_header.h"
#include "vision/preprocess/patchify.h"
#include "vision/preprocess/preprocessor_config.h"
#include "vision/preprocess/quality.h"

namespace emotion::vision {

enum class ResizeMode {
  kHeadsInput,  // to PrepareOptions::heads_input, whatever was sent: every frame costs the same
  kNative,      // the encoder's own smart_resize
};

enum class OrientationMode {
  kApplyExif,
  kIgnoreExif,  // as the reference implementation
};

struct PrepareOptions {
  ResizeMode resize = ResizeMode::kHeadsInput;
  ImageSize heads_input = {112, 112};  // pixels; multiples of PreprocessorConfig::factor()
  int max_patches = 1024;              // MAX_PATCHES; 0: no limit
  OrientationMode orientation = OrientationMode::kApplyExif;
  // How long to wait for decode memory.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

struct DecodedImage {
  ImageHeader header;
  RgbImage image;             // upright where asked for
  DecodeBudget::Hold memory;  // of `image`; let both go together
};

struct PreparedImage {
  RgbImage image;  // at the size that was cut into patches
  Patches patches;
  Quality quality;
};

class ImagePreparer {
 public:
  struct Settings {
    PreprocessorConfig config;
    DecodeLimits limits;
    DecodeBudget* budget = nullptr;  // borrowed; must outlive this object; null: no bound
  };

  explicit ImagePreparer(const Settings& settings);

  // Errors of InspectImage, of DecodeImage, of TargetSize for the image's upright size, and
  // QUEUE_FULL when decode memory did not come free in time.
  absl::StatusOr<DecodedImage> Decode(std::string_view bytes, const PrepareOptions& options) const;

  // `image` may be a crop. Errors of TargetSize.
  absl::StatusOr<PreparedImage> Prepare(RgbImage image, const PrepareOptions& options) const;

  // Prepare in two steps, for who may not need the patches: resized and measured, then cut.
  absl::StatusOr<PreparedImage> Fit(RgbImage image, const PrepareOptions& options) const;
  absl::Status Cut(PreparedImage& image) const;

  // Decode, then Prepare.
  absl::StatusOr<PreparedImage> Prepare(std::string_view bytes,
                                        const PrepareOptions& options) const;

  // The size that an upright image of `size` is resized to. FIELD_INVALID when heads_input does not
  // fit the encoder; IMAGE_DIMENSIONS, naming MAX_PATCHES, when it gives more patches than that,
  // or when smart_resize refuses it.
  absl::StatusOr<ImageSize> TargetSize(ImageSize size, const PrepareOptions& options) const;

 private:
  Settings settings_;
  Patchifier patchifier_;
};

}  // namespace emotion::vision

// Pixels to the rows that the encoder takes.
//
// An image of H x W pixels is cut into patches of patch_size a side. Rows come in merge groups: the
// merge_size x merge_size patches that become one output token are neighbours, groups go along the
// rows of the image. Within a row the order is channel, frame, y, x. With the defaults a row has
// 3 * 2 * 14 * 14 = 1176 values, and a 112 x 112 face has 64 rows and 16 output tokens. That is the
// reference's reshape and permute (0,3,6,4,7,2,1,5,8).
//
// A value is (pixel * rescale_factor - mean) / std, with the product rounded to float32 and the
// rest in float32, as the PIL-backed image processor of transformers computes it: bit for bit.
#pragma once

#include <array>
#include <span>

#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::vision {

// Immutable once made, so safe from any thread. Holds 3 KB of tables.
class Patchifier {
 public:
  explicit Patchifier(const PreprocessorConfig& config);

  // A still image: its frame is repeated temporal_patch_size times, grid.t = 1.
  // INVALID_ARGUMENT (FIELD_INVALID "image") when a side is not a positive multiple of
  // config.factor() or the pixels do not fit the size.
  absl::StatusOr<Patches> Still(const RgbImage& image) const;

  // Frames of one clip, all of one size; the last is repeated up to a multiple of
  // temporal_patch_size. grid.t = that multiple / temporal_patch_size. Errors as above, also for no
  // frames and for sizes that differ.
  absl::StatusOr<Patches> Frames(std::span<const RgbImage* const> frames) const;

 private:
  absl::Status Check(const RgbImage& image) const;
  void WritePatch(std::span<const RgbImage* const> frames, int row, int column, float* out) const;

  PreprocessorConfig config_;
  std::array<std::array<float, 256>, 3> normalised_;  // [channel][pixel]
};

}  // namespace emotion::vision

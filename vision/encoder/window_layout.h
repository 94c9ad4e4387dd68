// Which patches of a batch attend to which, and in what order: pure arithmetic on grids.
//
// Patches arrive in merge-group order (vision/preprocess/patchify.h), images one after the other.
// For windowed attention the merge groups of each frame are permuted so that every window is
// contiguous; windows at the right and bottom edges are smaller. Blocks with full attention see
// each whole frame. Nothing ever attends across frames or images.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/encoder/model_config.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

// A run of patches, in window order, that attend to each other.
struct Segment {
  int64_t begin = 0;
  int64_t length = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

struct WindowLayout {
  int64_t patches = 0;  // of the whole batch

  // [patches / merge_unit]: the merge group of the input that stands at each place in window order.
  std::vector<int64_t> group_order;
  // The inverse permutation: the place in window order of each merge group of the input.
  std::vector<int64_t> group_place;

  std::vector<Segment> windows;  // tile 0..patches
  std::vector<Segment> frames;   // tile 0..patches

  // Output tokens of each image, in the order of the input.
  std::vector<int64_t> tokens_per_image;
};

// INVALID_ARGUMENT when a grid is empty, is not a multiple of the merge size, or the batch has more
// than 2^31 - 1 patches. No grids: an empty layout.
absl::StatusOr<WindowLayout> MakeWindowLayout(const VisionConfig& config,
                                              std::span<const Grid> grids);

// Angles of the rotary position embedding, [patches, head_dim / 2] float32, row-major, in
// merge-group order (not yet in window order): the first half of a row turns with the patch's row,
// the second with its column. `grids` must have passed MakeWindowLayout.
std::vector<float> RotaryAngles(const VisionConfig& config, std::span<const Grid> grids);

}  // namespace emotion::vision

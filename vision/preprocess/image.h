// The pixel types that pass between decoder, resize and patchify. Plain values, no behaviour.
#pragma once

#include <cstdint>
#include <vector>

namespace emotion::vision {

struct ImageSize {
  int width = 0;   // pixels
  int height = 0;  // pixels
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

struct RgbImage {
  ImageSize size;
  std::vector<uint8_t> pixels;  // [height, width, 3], row-major, R G B
};

// How many patches an image is cut into: time, rows, columns. A still image has t = 1.
struct Grid {
  int t = 1;
  int h = 0;
  int w = 0;
  int patches() const { return t * h * w; }
  friend bool operator==(const Grid&, const Grid&) = default;
};

// One image ready for the encoder.
struct Patches {
  Grid grid;
  // [grid.patches(), channels * temporal_patch_size * patch_size * patch_size] float32, row-major,
  // in merge-group order: see vision/preprocess/patchify.h.
  std::vector<float> rows;
};

}  // namespace emotion::vision

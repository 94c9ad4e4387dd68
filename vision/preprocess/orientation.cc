#include "vision/preprocess/orientation.h"

#include <cstddef>
#include <cstdint>

namespace emotion::vision {
namespace {

constexpr int kChannels = 3;

// Where the pixel of the result comes from: from the right, from the bottom, with x and y swapped.
struct Turn {
  bool from_right = false;
  bool from_bottom = false;
  bool swapped = false;
};

constexpr Turn kTurns[] = {
    {},                    // 1
    {true, false, false},  // 2
    {true, true, false},   // 3
    {false, true, false},  // 4
    {false, false, true},  // 5
    {false, true, true},   // 6
    {true, true, true},    // 7
    {true, false, true},   // 8
};

bool IsTurned(int orientation) { return orientation >= 2 && orientation <= 8; }

}  // namespace

ImageSize OrientedSize(ImageSize size, int orientation) {
  if (!IsTurned(orientation) || !kTurns[orientation - 1].swapped) return size;
  return {size.height, size.width};
}

RgbImage ApplyExifOrientation(RgbImage image, int orientation) {
  if (!IsTurned(orientation)) return image;
  const Turn turn = kTurns[orientation - 1];
  const auto [width, height] = image.size;
  RgbImage result{OrientedSize(image.size, orientation), {}};
  result.pixels.resize(image.pixels.size());
  uint8_t* out = result.pixels.data();
  for (int y = 0; y < result.size.height; ++y) {
    for (int x = 0; x < result.size.width; ++x, out += kChannels) {
      int from_x = turn.swapped ? y : x;
      int from_y = turn.swapped ? x : y;
      if (turn.from_right) from_x = width - 1 - from_x;
      if (turn.from_bottom) from_y = height - 1 - from_y;
      const uint8_t* in = &image.pixels[(static_cast<size_t>(from_y) * width + from_x) * kChannels];
      out[0] = in[0];
      out[1] = in[1];
      out[2] = in[2];
    }
  }
  return result;
}

}  // namespace emotion::vision

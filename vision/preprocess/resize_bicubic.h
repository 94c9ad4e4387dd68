// Pillow's bicubic resize on 8-bit pixels, bit for bit.
#pragma once

#include "vision/preprocess/image.h"

namespace emotion::vision {

// Equal to Pillow 13's `Image.resize((width, height), Resampling.BICUBIC)`: the cubic a = -0.5,
// widened by the scale when it shrinks (antialiasing), weights in 22-bit fixed point, 8-bit pixels
// between the two passes; a pass that changes nothing is skipped. The horizontal pass comes first,
// but for images that lose more than twice as many rows as columns. (Earlier Pillows always begin
// with the horizontal pass: those images differ from theirs by a step in some values.)
//
// Takes the image by value so that an unchanged one costs nothing: move it in. Both sizes must be
// positive, and `image.pixels` must hold image.size (a bug of the caller otherwise; asserted).
RgbImage ResizeBicubic(RgbImage image, ImageSize target);

}  // namespace emotion::vision

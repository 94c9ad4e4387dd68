// EXIF orientation: photographs stored as the sensor saw them, turned upright for looking at.
#pragma once

#include "vision/preprocess/image.h"

namespace emotion::vision {

// Equal to PIL.ImageOps.exif_transpose: 1 as it is, 2 mirrored, 3 turned by 180 degrees, 4 upside
// down, 5 transposed, 6 turned clockwise, 7 transposed over the other diagonal, 8 turned
// counterclockwise. Other values change nothing. Takes the image by value: move it in.
RgbImage ApplyExifOrientation(RgbImage image, int orientation);

// The size after ApplyExifOrientation: 5 to 8 swap the sides.
ImageSize OrientedSize(ImageSize size, int orientation);

}  // namespace emotion::vision

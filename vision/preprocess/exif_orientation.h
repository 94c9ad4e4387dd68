// The orientation tag of an EXIF block.
#pragma once

#include <string_view>

namespace emotion::vision {

// `tiff` begins at the TIFF header ("II*\0" or "MM\0*"); a leading "Exif\0\0" is skipped. Returns
// the value of tag 0x0112 in the first directory, 1 to 8. Anything else, an absent tag, a broken
// block or a value out of range, is 1: a photograph with odd metadata is still a photograph.
int ParseExifOrientation(std::string_view tiff);

}  // namespace emotion::vision

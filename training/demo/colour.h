// A colour and the mixing of two.
#pragma once

namespace emotion::training {

struct Colour {  // 0 to 1 each, sRGB
  float red = 0;
  float green = 0;
  float blue = 0;
};

// `share` 0 gives `a`, 1 gives `b`.
inline Colour Mix(Colour a, Colour b, double share) {
  const float s = static_cast<float>(share);
  return {a.red + (b.red - a.red) * s, a.green + (b.green - a.green) * s,
          a.blue + (b.blue - a.blue) * s};
}

}  // namespace emotion::training

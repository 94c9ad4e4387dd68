// Is this picture good enough to read a face in? Plain measurements that need no detector.
//
// The warnings are advice for whoever holds the camera; a picture is scored whatever they say.
// Light is judged by the brightest and darkest tenths, not by the mean, so that neither dark nor
// fair skin counts as bad light. Pure functions, safe from any thread.
#pragma once

#include <string_view>
#include <vector>

#include "vision/preprocess/image.h"

namespace emotion::vision {

// Names are part of the public contract. kNoFace and kMultipleFaces come from face detection only;
// they stand here so that a picture's warnings are one list.
enum class QualityWarning {
  kTooDark,
  kTooBright,
  kBlurred,
  kTooSmall,
  kNotSquare,  // the heads' input is square: the face is stretched
  kNoFace,
  kMultipleFaces,  // which one is meant is a guess
};

// "too_dark" for kTooDark.
std::string_view QualityWarningName(QualityWarning warning);

struct QualityThresholds {
  int dark_p90 = 50;        // too dark: nine tenths of the picture have a luma below this
  int bright_p10 = 205;     // too bright: nine tenths have a luma above this,
  int bright_median = 250;  // or half of it is burnt out
  // Blurred: variance of the Laplacian over variance of the luma, at 112 x 112; a sharp face has
  // 0.2, one blurred by a Gaussian of 1.5 pixels 0.008, of 2 pixels 0.004. It does not depend on
  // light or contrast.
  double blur_ratio = 0.006;
  double flat_variance = 4;  // luma variance below this: there is nothing to see; counts as blurred
  int min_side = 48;         // pixels of the shorter side as sent
  double max_aspect = 1.25;  // longer side over shorter side as sent
};

struct Quality {
  std::vector<QualityWarning> warnings;  // in the order of the enum, each at most once
};

// `sent` is the size of the picture as sent (upright); `image` the picture at any size, such as the
// heads' input. Light and blur are measured at 112 x 112: at another size a resized copy is made.
Quality AssessQuality(ImageSize sent, const RgbImage& image,
                      const QualityThresholds& thresholds = QualityThresholds());

}  // namespace emotion::vision

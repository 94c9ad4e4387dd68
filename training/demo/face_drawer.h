// Draws a face as a camera's crop of it would look: 112 x 112 RGB pixels.
//
// A cartoon, not a likeness: made so that a small network has something to learn from. Pure: the
// same parameters give the same pixels, on one machine and with one OpenCV. Safe from any thread.
#pragma once

#include "training/demo/face_parameters.h"
#include "vision/preprocess/image.h"

namespace emotion::training {

inline constexpr int kFaceSide = 112;  // pixels; what the heads take in

vision::RgbImage DrawFace(const FaceParameters& face);

// The same face in a mirror: what was left is right.
FaceParameters Mirrored(FaceParameters face);

}  // namespace emotion::training

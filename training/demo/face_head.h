// The parts of a drawn face that carry no expression: the room, the head, its hair and clothes.
#pragma once

#include <opencv2/core/mat.hpp>

#include "training/demo/face_parameters.h"
#include "training/demo/pen.h"

namespace emotion::training {

// The colour of skin in even white light.
Colour SkinColour(const Appearance& appearance);

// Fills the whole canvas (8-bit RGB): a gradient and blurred things in front of it.
void DrawBackground(cv::Mat& canvas, const Scene& scene);

// What lies behind the face: long hair, neck and shoulders, ears.
void DrawBehindFace(Pen& pen, const Appearance& appearance);

// Skin, shaded towards the edge, and beard.
void DrawFaceSkin(Pen& pen, const Appearance& appearance);

// Hair that falls over the top of the forehead.
void DrawHairInFront(Pen& pen, const Appearance& appearance);

}  // namespace emotion::training

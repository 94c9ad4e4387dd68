// The parts of a drawn face that carry its expression (and the glasses that get in their way).
#pragma once

#include "training/demo/face_parameters.h"
#include "training/demo/pen.h"

namespace emotion::training {

void DrawEyes(Pen& pen, const FaceParameters& face);
void DrawNose(Pen& pen, const FaceParameters& face);
void DrawMouth(Pen& pen, const FaceParameters& face);

// Brows and the folds between them.
void DrawBrows(Pen& pen, const FaceParameters& face);

// Nothing without Appearance::glasses.
void DrawGlasses(Pen& pen, const FaceParameters& face);

}  // namespace emotion::training

#include "training/demo/face_drawer.h"

#include <numbers>

#include <opencv2/core/mat.hpp>
#include <opencv2/imgproc.hpp>

#include "training/demo/camera.h"
#include "training/demo/face_features.h"
#include "training/demo/face_head.h"
#include "training/demo/pen.h"

namespace emotion::training {
namespace {

// Drawn at twice the size and averaged down: lines of part of a pixel come out right.
constexpr int kCanvasSide = 2 * kFaceSide;

void DrawAll(cv::Mat& canvas, const FaceParameters& face) {
  Pen pen(canvas, face);
  DrawBackground(canvas, face.scene);
  DrawBehindFace(pen, face.appearance);
  DrawFaceSkin(pen, face.appearance);
  DrawNose(pen, face);
  DrawMouth(pen, face);
  DrawEyes(pen, face);
  DrawHairInFront(pen, face.appearance);
  DrawBrows(pen, face);
  DrawGlasses(pen, face);
}

}  // namespace

vision::RgbImage DrawFace(const FaceParameters& face) {
  cv::Mat canvas(kCanvasSide, kCanvasSide, CV_8UC3);
  DrawAll(canvas, face);
  vision::RgbImage image;
  image.size = {kFaceSide, kFaceSide};
  image.pixels.resize(static_cast<size_t>(kFaceSide) * kFaceSide * 3);
  cv::Mat crop(kFaceSide, kFaceSide, CV_8UC3, image.pixels.data());
  cv::resize(canvas, crop, crop.size(), 0, 0, cv::INTER_AREA);
  ApplyCamera(crop, face.scene);
  return image;
}

FaceParameters Mirrored(FaceParameters face) {
  Expression& e = face.expression;
  e.gaze_x = -e.gaze_x;
  e.brow_asymmetry = -e.brow_asymmetry;
  e.head_tilt = -e.head_tilt;
  e.head_yaw = -e.head_yaw;
  face.scene.centre_x = -face.scene.centre_x;
  face.scene.light_angle = std::numbers::pi - face.scene.light_angle;
  return face;
}

}  // namespace emotion::training

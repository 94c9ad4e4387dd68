// Draws shapes given in face coordinates onto a picture, wherever and however the face lies in it.
//
// Face coordinates: the middle of the face is (0, 0), the chin is at y = 1, the hairline at
// y = -1, x grows to the right of the picture. The pen turns, shifts and scales them as Scene and
// Expression say. Things that lie on the face (eyes, mouth) also move around the head when it
// turns; the outline of the head, seen as a ball, does not: hence `Surface`.
//
// Borrows the canvas, which must outlive it. Everything is anti-aliased and cut at the borders.
#pragma once

#include <vector>

#include <opencv2/core/mat.hpp>

#include "training/demo/face_parameters.h"

namespace emotion::training {

struct FacePoint {
  double x = 0;
  double y = 0;
};

enum class Surface { kFace, kOutline };

class Pen {
 public:
  // `canvas` is square, 8-bit, 3 channels R G B.
  Pen(cv::Mat& canvas, const FaceParameters& face);

  // A filled polygon. Fewer than three points draw nothing.
  void Fill(Surface surface, const std::vector<FacePoint>& outline, Colour colour);

  // An open line of this width (in face units; never thinner than one pixel).
  void Line(Surface surface, const std::vector<FacePoint>& points, double width, Colour colour);

 private:
  cv::Point2d Place(Surface surface, FacePoint point) const;
  std::vector<cv::Point> PlaceAll(Surface surface, const std::vector<FacePoint>& points) const;

  cv::Mat& canvas_;
  double face_width_;
  double yaw_sine_, yaw_cosine_;
  double tilt_sine_, tilt_cosine_;
  double pixels_per_unit_;
  cv::Point2d centre_;
};

// The points of an ellipse, from `from` to `to` radians (0 is the right, clockwise in the picture).
std::vector<FacePoint> EllipseArc(FacePoint centre, double radius_x, double radius_y, double from,
                                  double to);
std::vector<FacePoint> Ellipse(FacePoint centre, double radius_x, double radius_y);

}  // namespace emotion::training

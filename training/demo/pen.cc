#include "training/demo/pen.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <opencv2/imgproc.hpp>

namespace emotion::training {
namespace {

constexpr int kFractionBits = 4;  // OpenCV takes coordinates as fixed point: 1/16 of a pixel
constexpr double kFullYaw = 33 * std::numbers::pi / 180;
constexpr int kArcSteps = 28;

cv::Scalar ToScalar(Colour colour) {
  const auto to_8_bit = [](float value) { return std::clamp(value, 0.0f, 1.0f) * 255.0; };
  return {to_8_bit(colour.red), to_8_bit(colour.green), to_8_bit(colour.blue)};
}

}  // namespace

Pen::Pen(cv::Mat& canvas, const FaceParameters& face)
    : canvas_(canvas), face_width_(face.appearance.face_width) {
  const double yaw = face.expression.head_yaw * kFullYaw;
  const double tilt = face.expression.head_tilt * std::numbers::pi / 180;
  yaw_sine_ = std::sin(yaw);
  yaw_cosine_ = std::cos(yaw);
  tilt_sine_ = std::sin(tilt);
  tilt_cosine_ = std::cos(tilt);
  const double half = canvas.cols / 2.0;
  pixels_per_unit_ = half * face.scene.scale;
  centre_ = {half * (1 + face.scene.centre_x), half * (1 + face.scene.centre_y)};
}

cv::Point2d Pen::Place(Surface surface, FacePoint point) const {
  double x = point.x;
  if (surface == Surface::kFace) {
    // The face is the front of an ellipsoid that turns about its vertical axis.
    const double across = x / (face_width_ * 1.05);
    const double along = point.y / 1.4;
    const double depth =
        face_width_ * std::sqrt(std::max(0.04, 1 - across * across - along * along));
    x = x * yaw_cosine_ + depth * yaw_sine_;
  }
  return {centre_.x + pixels_per_unit_ * (x * tilt_cosine_ - point.y * tilt_sine_),
          centre_.y + pixels_per_unit_ * (x * tilt_sine_ + point.y * tilt_cosine_)};
}

std::vector<cv::Point> Pen::PlaceAll(Surface surface, const std::vector<FacePoint>& points) const {
  std::vector<cv::Point> placed;
  placed.reserve(points.size());
  for (const FacePoint& point : points) {
    const cv::Point2d at = Place(surface, point) * (1 << kFractionBits);
    placed.emplace_back(static_cast<int>(std::lround(at.x)), static_cast<int>(std::lround(at.y)));
  }
  return placed;
}

void Pen::Fill(Surface surface, const std::vector<FacePoint>& outline, Colour colour) {
  if (outline.size() < 3) return;
  cv::fillPoly(canvas_, std::vector{PlaceAll(surface, outline)}, ToScalar(colour), cv::LINE_AA,
               kFractionBits);
}

void Pen::Line(Surface surface, const std::vector<FacePoint>& points, double width, Colour colour) {
  if (points.size() < 2) return;
  const int pixels = std::max(1, static_cast<int>(std::lround(width * pixels_per_unit_)));
  cv::polylines(canvas_, std::vector{PlaceAll(surface, points)}, false, ToScalar(colour), pixels,
                cv::LINE_AA, kFractionBits);
}

std::vector<FacePoint> EllipseArc(FacePoint centre, double radius_x, double radius_y, double from,
                                  double to) {
  std::vector<FacePoint> points;
  points.reserve(kArcSteps + 1);
  for (int step = 0; step <= kArcSteps; ++step) {
    const double angle = from + (to - from) * step / kArcSteps;
    points.push_back(
        {centre.x + radius_x * std::cos(angle), centre.y + radius_y * std::sin(angle)});
  }
  return points;
}

std::vector<FacePoint> Ellipse(FacePoint centre, double radius_x, double radius_y) {
  return EllipseArc(centre, radius_x, radius_y, 0, 2 * std::numbers::pi);
}

}  // namespace emotion::training

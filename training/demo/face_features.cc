#include "training/demo/face_features.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "training/demo/face_head.h"

namespace emotion::training {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr Colour kBlack = {0, 0, 0};
constexpr Colour kWhite = {1, 1, 1};
constexpr double kEyeHeight = -0.14;  // y of the eyes' middles

double EyeX(const Appearance& a, int side) { return side * 0.335 * a.eye_distance; }
double EyeHalfWidth(const Appearance& a) { return 0.19 * a.eye_size; }

// One eye: where it is and where its two lids run.
struct EyeShape {
  FacePoint middle;
  double half_width;
  double upper;  // the most that the upper lid is above the middle
  double lower;

  double Arch(double x) const {
    const double across = (x - middle.x) / half_width;
    return std::max(0.0, 1 - across * across);
  }
  double UpperLid(double x) const { return middle.y - upper * Arch(x); }
  double LowerLid(double x) const { return middle.y + lower * Arch(x); }
};

EyeShape ShapeOf(const FaceParameters& face, int side) {
  const Appearance& a = face.appearance;
  const double openness = std::clamp(face.expression.eye_openness, 0.0, 1.0);
  // The upper lid does most of the closing, and comes to rest a little under the middle.
  return {.middle = {EyeX(a, side), kEyeHeight},
          .half_width = EyeHalfWidth(a),
          .upper = (0.145 * openness - 0.025) * a.eye_size,
          .lower = (0.045 + 0.035 * openness) * a.eye_size};
}

// The part of an ellipse that the lids leave free.
std::vector<FacePoint> BetweenLids(const EyeShape& eye, FacePoint centre, double radius_x,
                                   double radius_y) {
  constexpr int kSteps = 16;
  std::vector<FacePoint> top, bottom;
  for (int step = 0; step <= kSteps; ++step) {
    const double across = -1 + 2.0 * step / kSteps;
    const double x = centre.x + across * radius_x;
    const double reach = radius_y * std::sqrt(std::max(0.0, 1 - across * across));
    const double upper = std::max(centre.y - reach, eye.UpperLid(x));
    const double lower = std::min(centre.y + reach, eye.LowerLid(x));
    if (lower <= upper) continue;
    top.push_back({x, upper});
    bottom.push_back({x, lower});
  }
  top.insert(top.end(), bottom.rbegin(), bottom.rend());
  return top;
}

std::vector<FacePoint> LidLine(const EyeShape& eye, double (EyeShape::*lid)(double) const,
                               double lift) {
  std::vector<FacePoint> line;
  constexpr int kSteps = 14;
  for (int step = 0; step <= kSteps; ++step) {
    const double x = eye.middle.x + eye.half_width * (-1 + 2.0 * step / kSteps);
    line.push_back({x, (eye.*lid)(x)-lift});
  }
  return line;
}

void DrawEyeball(Pen& pen, const FaceParameters& face, const EyeShape& eye) {
  const Expression& e = face.expression;
  const double size = face.appearance.eye_size;
  const Colour white = Mix(kWhite, SkinColour(face.appearance), 0.12);
  pen.Fill(Surface::kFace, BetweenLids(eye, eye.middle, eye.half_width, 1), white);
  const FacePoint iris = {eye.middle.x + e.gaze_x * 0.105 * size,
                          eye.middle.y - 0.015 + e.gaze_y * 0.075 * size};
  const double radius = 0.092 * size;
  pen.Fill(Surface::kFace, BetweenLids(eye, iris, radius, radius), face.appearance.iris_colour);
  pen.Fill(Surface::kFace, BetweenLids(eye, iris, radius * 0.5, radius * 0.5),
           {0.03f, 0.03f, 0.03f});
  pen.Fill(Surface::kFace,
           BetweenLids(eye, {iris.x - 0.03, iris.y - 0.03}, radius * 0.22, radius * 0.22),
           {0.95f, 0.95f, 0.95f});
}

void DrawEye(Pen& pen, const FaceParameters& face, int side) {
  const EyeShape eye = ShapeOf(face, side);
  const Colour skin = SkinColour(face.appearance);
  // The socket, shaded; the skin of the lid that shows as the eye closes; then what it leaves free.
  pen.Fill(Surface::kFace,
           Ellipse({eye.middle.x, eye.middle.y - 0.02}, eye.half_width * 1.15, 0.15),
           Mix(skin, kBlack, 0.08));
  pen.Fill(Surface::kFace,
           EllipseArc({eye.middle.x, eye.middle.y}, eye.half_width * 1.02, 0.14, kPi, 2 * kPi),
           Mix(skin, kBlack, 0.16));
  DrawEyeball(pen, face, eye);
  const Colour lash = Mix(skin, {0.04f, 0.03f, 0.03f}, 0.9);
  pen.Line(Surface::kFace, LidLine(eye, &EyeShape::UpperLid, 0), 0.035, lash);
  pen.Line(Surface::kFace, LidLine(eye, &EyeShape::LowerLid, 0), 0.014, Mix(skin, kBlack, 0.4));
}

double LipHalfWidth(const FaceParameters& face) {
  const Expression& e = face.expression;
  return 0.27 * face.appearance.mouth_width *
         (1 + 0.15 * std::max(0.0, e.mouth_curve) - 0.18 * e.mouth_openness + 0.05 * e.lip_press);
}

// A bow from corner to corner: the corners are lifted by the curve, the middle sinks by `sag`.
std::vector<FacePoint> LipLine(const FaceParameters& face, double sag, bool backwards) {
  std::vector<FacePoint> line;
  const double half_width = LipHalfWidth(face);
  constexpr int kSteps = 18;
  for (int step = 0; step <= kSteps; ++step) {
    const double across = (backwards ? 1 : -1) * (-1 + 2.0 * step / kSteps);
    const double square = across * across;
    line.push_back(
        {half_width * across,
         0.52 - face.expression.mouth_curve * 0.15 * (square - 0.4) + sag * (1 - square)});
  }
  return line;
}

void FillBetween(Pen& pen, const FaceParameters& face, double upper, double lower, Colour colour) {
  std::vector<FacePoint> outline = LipLine(face, upper, false);
  const std::vector<FacePoint> back = LipLine(face, lower, true);
  outline.insert(outline.end(), back.begin(), back.end());
  pen.Fill(Surface::kFace, outline, colour);
}

// Height that the brow gains above its resting place: both move with brow_height, one further.
double BrowLift(const Expression& e, int side) {
  const double own = std::max(0.0, e.brow_asymmetry * side);
  const double other = std::max(0.0, -e.brow_asymmetry * side);
  return 0.13 * e.brow_height + 0.17 * own - 0.04 * other;
}

void DrawBrow(Pen& pen, const FaceParameters& face, int side) {
  const Expression& e = face.expression;
  const Appearance& a = face.appearance;
  const double lift = BrowLift(e, side);
  const double raised = std::max(0.0, e.brow_asymmetry * side);
  const double pressed = std::max(0.0, -e.brow_height);
  const double y = kEyeHeight - 0.285 - lift;
  const double inner_drop = 0.07 * e.brow_furrow + 0.09 * pressed;
  const double inward = 0.05 * e.brow_furrow;
  const FacePoint inner = {EyeX(a, side) - side * (0.17 + inward), y + inner_drop};
  const FacePoint peak = {EyeX(a, side) + side * 0.06, y - 0.05 - 0.05 * raised};
  const FacePoint outer = {EyeX(a, side) + side * 0.24, y + 0.05 - 0.03 * pressed};
  const double thick = 0.038 * a.brow_thickness;
  std::vector<FacePoint> outline;
  for (double edge : {-1.0, 1.0}) {
    constexpr int kSteps = 10;
    for (int step = 0; step <= kSteps; ++step) {
      // A quadratic curve through inner, peak, outer; thinner towards the outside.
      const double t = edge < 0 ? step / double{kSteps} : 1 - step / double{kSteps};
      const double s = 1 - t;
      const double x = s * s * inner.x + 2 * s * t * peak.x + t * t * outer.x;
      const double height =
          s * s * inner.y + 2 * s * t * (2 * peak.y - (inner.y + outer.y) / 2) + t * t * outer.y;
      outline.push_back({x, height + edge * thick * (1 - 0.7 * t)});
    }
  }
  const Colour brow = Mix(a.hair_colour, kBlack, 0.35);
  pen.Fill(Surface::kFace, outline, Mix(brow, SkinColour(a), 0.12));
}

}  // namespace

void DrawEyes(Pen& pen, const FaceParameters& face) {
  for (int side : {-1, 1}) DrawEye(pen, face, side);
}

void DrawNose(Pen& pen, const FaceParameters& face) {
  const Colour skin = SkinColour(face.appearance);
  const double tip = 0.06 + 0.18 * face.appearance.nose_length;
  pen.Line(Surface::kFace, {{-0.05, -0.12}, {-0.06, 0.02}, {-0.09, tip - 0.06}}, 0.03,
           Mix(skin, kBlack, 0.12));
  pen.Line(Surface::kFace, {{0.02, -0.1}, {0.02, tip - 0.08}}, 0.05, Mix(skin, kWhite, 0.12));
  pen.Line(Surface::kFace, EllipseArc({0, tip - 0.03}, 0.12, 0.06, 0.1, kPi - 0.1), 0.025,
           Mix(skin, kBlack, 0.3));
  for (int side : {-1, 1}) {
    pen.Fill(Surface::kFace, Ellipse({side * 0.06, tip + 0.01}, 0.028, 0.018),
             Mix(skin, kBlack, 0.55));
  }
}

void DrawMouth(Pen& pen, const FaceParameters& face) {
  const Expression& e = face.expression;
  const Appearance& a = face.appearance;
  const Colour skin = SkinColour(a);
  const Colour lips = Mix(Mix(skin, {0.72f, 0.22f, 0.24f}, 0.5), kBlack, 0.12 * a.melanin);
  const double full = a.lip_fullness * (1 - 0.85 * std::clamp(e.lip_press, 0.0, 1.0));
  const double gape = 0.24 * std::clamp(e.mouth_openness, 0.0, 1.0);
  const double top = -0.25 * gape;
  const double bottom = 0.75 * gape;
  FillBetween(pen, face, top - 0.075 * full, 0, Mix(lips, kBlack, 0.1));
  FillBetween(pen, face, 0, bottom + 0.1 * full, lips);
  if (gape > 0.02) {
    FillBetween(pen, face, top, bottom, {0.2f, 0.06f, 0.06f});
    FillBetween(pen, face, top, std::min(top + 0.05, bottom), {0.9f, 0.88f, 0.84f});
  }
  const double seam = 0.026 + 0.014 * e.lip_press;
  pen.Line(Surface::kFace, LipLine(face, gape > 0.02 ? bottom : 0, false), seam,
           Mix(lips, kBlack, gape > 0.02 ? 0.25 : 0.6));
}

void DrawBrows(Pen& pen, const FaceParameters& face) {
  const Expression& e = face.expression;
  if (e.brow_furrow > 0) {
    const Colour fold = Mix(SkinColour(face.appearance), kBlack, 0.6 * e.brow_furrow);
    for (int side : {-1, 1}) {
      pen.Line(Surface::kFace, {{side * 0.055, -0.5 - 0.03 * e.brow_furrow}, {side * 0.045, -0.3}},
               0.028, fold);
    }
  }
  for (int side : {-1, 1}) DrawBrow(pen, face, side);
}

void DrawGlasses(Pen& pen, const FaceParameters& face) {
  const Appearance& a = face.appearance;
  if (!a.glasses) return;
  const double half_width = 0.27;
  const double half_height = 0.2;
  // A superellipse: power 2 is an ellipse, a high power a rectangle.
  const double power = 2 / (2 + 6 * (1 - a.glasses_roundness));
  for (int side : {-1, 1}) {
    std::vector<FacePoint> rim;
    for (int step = 0; step <= 32; ++step) {
      const double angle = 2 * kPi * step / 32;
      const double c = std::cos(angle);
      const double s = std::sin(angle);
      rim.push_back(
          {EyeX(a, side) + half_width * std::copysign(std::pow(std::abs(c), power), c),
           kEyeHeight + 0.03 + half_height * std::copysign(std::pow(std::abs(s), power), s)});
    }
    pen.Line(Surface::kFace, rim, 0.025, a.glasses_colour);
    const double hinge = EyeX(a, side) + side * half_width;
    pen.Line(Surface::kFace, {{hinge, kEyeHeight}, {side * a.face_width, kEyeHeight - 0.02}}, 0.025,
             a.glasses_colour);
  }
  pen.Line(Surface::kFace,
           {{EyeX(a, -1) + half_width, kEyeHeight},
            {0, kEyeHeight - 0.03},
            {EyeX(a, 1) - half_width, kEyeHeight}},
           0.025, a.glasses_colour);
}

}  // namespace emotion::training

#include "training/demo/face_head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include <opencv2/imgproc.hpp>

#include "training/demo/random.h"

namespace emotion::training {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr Colour kBlack = {0, 0, 0};

// Five skins from porcelain to deep brown; the rest lies between neighbours.
constexpr std::array<Colour, 5> kSkins = {{{0.96f, 0.84f, 0.77f},
                                           {0.90f, 0.72f, 0.60f},
                                           {0.76f, 0.56f, 0.42f},
                                           {0.55f, 0.37f, 0.26f},
                                           {0.30f, 0.19f, 0.14f}}};

// Half the width of the face at height y: round above, narrowing towards the jaw below.
double HalfWidthAt(const Appearance& a, double y) {
  const double round = std::sqrt(std::max(0.0, 1 - y * y));
  if (y <= 0) return a.face_width * std::max(round, 0.0);
  const double square = std::pow(std::max(0.0, 1 - y * y * y * y), 0.5);
  const double jaw = std::clamp((a.jaw - 0.7) / 0.3, 0.0, 1.0);
  return a.face_width * (round + (square - round) * (0.25 + 0.6 * jaw));
}

std::vector<FacePoint> FaceOutline(const Appearance& a, double shrink) {
  std::vector<FacePoint> outline;
  constexpr int kSteps = 26;
  for (int side : {1, -1}) {
    for (int step = 0; step <= kSteps; ++step) {
      const double y = -side * std::cos(kPi * step / kSteps);
      outline.push_back({side * HalfWidthAt(a, y) * shrink, y * shrink});
    }
  }
  return outline;
}

void DrawThing(cv::Mat& room, Random& random, const Scene& scene) {
  const Colour near = random.Chance(0.5) ? scene.background_top : scene.background_bottom;
  const Colour other = {static_cast<float>(random.Uniform()), static_cast<float>(random.Uniform()),
                        static_cast<float>(random.Uniform())};
  const Colour colour = Mix(near, other, random.Uniform(0.1, 0.6));
  const cv::Scalar scalar = {colour.red * 255.0, colour.green * 255.0, colour.blue * 255.0};
  const cv::Point corner = {random.Below(room.cols), random.Below(room.rows)};
  const cv::Size size = {3 + random.Below(room.cols / 2), 3 + random.Below(room.rows / 2)};
  if (random.Chance(0.7)) {
    cv::rectangle(room, cv::Rect(corner - cv::Point(size) / 2, size), scalar, cv::FILLED);
  } else {
    cv::circle(room, corner, size.width / 2, scalar, cv::FILLED);
  }
}

Colour HairShade(const Appearance& a, double darker) { return Mix(a.hair_colour, kBlack, darker); }

}  // namespace

Colour SkinColour(const Appearance& appearance) {
  const double place = std::clamp(appearance.melanin, 0.0, 1.0) * (kSkins.size() - 1);
  const size_t lower = std::min(static_cast<size_t>(place), kSkins.size() - 2);
  Colour skin = Mix(kSkins[lower], kSkins[lower + 1], place - static_cast<double>(lower));
  const float tone = static_cast<float>(appearance.undertone) * 0.025f;
  skin.red -= tone;
  skin.green += tone;
  return skin;
}

void DrawBackground(cv::Mat& canvas, const Scene& scene) {
  // Drawn at a quarter of the size and enlarged: a room out of focus, and cheap.
  cv::Mat room(canvas.rows / 4, canvas.cols / 4, CV_8UC3);
  for (int y = 0; y < room.rows; ++y) {
    const Colour c = Mix(scene.background_top, scene.background_bottom,
                         static_cast<double>(y) / std::max(1, room.rows - 1));
    room.row(y) = cv::Scalar(c.red * 255.0, c.green * 255.0, c.blue * 255.0);
  }
  if (scene.clutter_seed != 0) {
    Random random(scene.clutter_seed);
    const int things = 1 + random.Below(6);
    for (int thing = 0; thing < things; ++thing) DrawThing(room, random, scene);
    cv::GaussianBlur(room, room, cv::Size(0, 0), random.Uniform(0.4, 2.5));
  }
  cv::resize(room, canvas, canvas.size(), 0, 0, cv::INTER_LINEAR);
}

void DrawBehindFace(Pen& pen, const Appearance& a) {
  const Colour skin = SkinColour(a);
  if (a.hair == Appearance::Hair::kLong) {
    pen.Fill(Surface::kOutline,
             {{-a.face_width * 1.28, -0.3},
              {-a.face_width * 1.33, 1.5},
              {a.face_width * 1.33, 1.5},
              {a.face_width * 1.28, -0.3}},
             HairShade(a, 0.25));
    pen.Fill(Surface::kOutline, Ellipse({0, -0.35}, a.face_width * 1.28, 0.98), HairShade(a, 0.15));
  } else if (a.hair == Appearance::Hair::kBun) {
    pen.Fill(Surface::kOutline, Ellipse({0, -1.25}, 0.38, 0.3), HairShade(a, 0.2));
  }
  const double neck = a.face_width * 0.62;
  pen.Fill(Surface::kOutline, {{-neck, 0.5}, {-neck, 1.4}, {neck, 1.4}, {neck, 0.5}},
           Mix(skin, kBlack, 0.22));
  pen.Fill(Surface::kOutline,
           {{-1.9, 1.55},
            {-neck * 1.05, 1.18},
            {0, 1.36},
            {neck * 1.05, 1.18},
            {1.9, 1.55},
            {1.9, 3},
            {-1.9, 3}},
           a.clothes_colour);
  for (int side : {-1, 1}) {
    const FacePoint ear = {side * a.face_width * 1.02, 0};
    pen.Fill(Surface::kOutline, Ellipse(ear, 0.1, 0.2), Mix(skin, kBlack, 0.1));
    pen.Fill(Surface::kOutline, Ellipse(ear, 0.05, 0.12), Mix(skin, kBlack, 0.25));
  }
}

void DrawFaceSkin(Pen& pen, const Appearance& a) {
  const Colour skin = SkinColour(a);
  constexpr int kRings = 5;
  for (int ring = 0; ring < kRings; ++ring) {
    const double inward = static_cast<double>(ring) / (kRings - 1);
    pen.Fill(Surface::kOutline, FaceOutline(a, 1 - 0.2 * inward),
             Mix(skin, kBlack, 0.13 * (1 - inward)));
  }
  for (int side : {-1, 1}) {
    pen.Fill(Surface::kFace, Ellipse({side * 0.42, 0.26}, 0.14, 0.1),
             Mix(skin, {0.8f, 0.3f, 0.3f}, 0.07));
  }
  if (a.beard <= 0) return;
  std::vector<FacePoint> beard;
  for (const FacePoint& point : FaceOutline(a, 0.99)) {
    if (point.y > 0.1) beard.push_back(point);
  }
  // The inner edge runs from the ear under the cheek to the upper lip and back.
  for (const FacePoint& inner :
       {FacePoint{-0.52, 0.36}, {-0.3, 0.33}, {0, 0.3}, {0.3, 0.33}, {0.52, 0.36}}) {
    beard.push_back(inner);
  }
  pen.Fill(Surface::kOutline, beard, Mix(skin, HairShade(a, 0.2), 0.15 + 0.65 * a.beard));
}

void DrawHairInFront(Pen& pen, const Appearance& a) {
  if (a.hair == Appearance::Hair::kBald) return;
  const double outer = a.hair == Appearance::Hair::kShort ? 1.08 : 1.16;
  std::vector<FacePoint> hair = EllipseArc({0, -0.28}, a.face_width * outer, 0.92, kPi, 2 * kPi);
  // The hairline: higher in the middle of a parting, lower at the temples.
  const double lowest = a.hair == Appearance::Hair::kShort ? -0.42 : -0.3;
  for (const FacePoint& inner : {FacePoint{a.face_width * 0.98, lowest},
                                 {a.face_width * 0.8, -0.62},
                                 {a.face_width * 0.35, -0.8},
                                 {-a.face_width * 0.2, -0.76},
                                 {-a.face_width * 0.75, -0.64},
                                 {-a.face_width * 0.98, lowest}}) {
    hair.push_back(inner);
  }
  pen.Fill(Surface::kOutline, hair, a.hair_colour);
  for (double strand : {-0.5, -0.15, 0.25, 0.6}) {
    pen.Line(Surface::kOutline,
             {{a.face_width * strand * 0.6, -1.15}, {a.face_width * strand, -0.88}}, 0.02,
             HairShade(a, 0.3));
  }
}

}  // namespace emotion::training

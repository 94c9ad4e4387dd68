// What a drawn face is made of. Plain values; no behaviour.
//
// `Expression` is what the levels depend on (training/demo/level_rule.h). Everything else is
// nuisance: it changes the pixels and must not change the answer.
//
// "Left" and "right" are sides of the picture, not of the person.
#pragma once

#include "training/demo/colour.h"

namespace emotion::training {

// What the face does. All zero (with eye_openness 1) is a neutral face that looks at the camera.
struct Expression {
  double eye_openness = 1;    // 0 closed .. 1 wide open
  double gaze_x = 0;          // -1 left .. 1 right, in the eye sockets
  double gaze_y = 0;          // -1 up .. 1 down
  double brow_height = 0;     // -1 pressed down .. 1 raised, of both brows
  double brow_asymmetry = 0;  // -1 the left brow is raised further .. 1 the right one
  double brow_furrow = 0;     // 0 .. 1: inner ends drawn together, two folds between the brows
  double mouth_curve = 0;     // -1 corners down .. 1 smile
  double mouth_openness = 0;  // 0 closed .. 1 wide open
  double lip_press = 0;       // 0 full lips .. 1 pressed to a line
  double head_tilt = 0;       // degrees, positive is clockwise in the picture; within +-30
  double head_yaw = 0;        // -1 turned left .. 1 turned right, 33 degrees each
};

struct Appearance {
  enum class Hair { kBald, kShort, kLong, kBun };
  double melanin = 0.3;  // 0 lightest skin .. 1 darkest
  double undertone = 0;  // -1 rosy .. 1 olive
  Hair hair = Hair::kShort;
  Colour hair_colour;
  Colour iris_colour;
  double face_width = 0.76;   // half width / half height
  double jaw = 0.85;          // width at the jaw against the cheeks: 0.7 pointed .. 1 square
  double eye_size = 1;        // 0.85 .. 1.15
  double eye_distance = 1;    // 0.9 .. 1.1
  double brow_thickness = 1;  // 0.6 .. 1.6
  double nose_length = 1;     // 0.85 .. 1.15
  double mouth_width = 1;     // 0.85 .. 1.2
  double lip_fullness = 1;    // 0.7 .. 1.4
  double beard = 0;           // 0 none .. 1 full
  bool glasses = false;
  double glasses_roundness = 0.5;  // 0 rectangular .. 1 round
  Colour glasses_colour;
  Colour clothes_colour;
};

// Where the face lies in the crop, the room behind it, the light and the camera.
struct Scene {
  double centre_x = 0;  // of the face, in half crops from the middle
  double centre_y = 0;
  double scale = 0.75;  // half height of the face in half crops (20 % margin: about 0.75)
  Colour background_top;
  Colour background_bottom;
  unsigned clutter_seed = 0;  // places the blurred things behind; 0: none
  double light_angle = 0;     // radians; where the light comes from, 0 is the right, pi/2 below
  double light_slope = 0;     // 0 even .. 0.6 one side clearly brighter
  double exposure = 1;        // 0.5 dark .. 1.4 bright
  double warmth = 0;          // -1 blue light .. 1 yellow light
  double blur = 0;            // Gaussian sigma in pixels of the finished crop
  double noise = 0;           // standard deviation in 8-bit steps
  unsigned noise_seed = 1;
  int jpeg_quality = 0;  // 1 to 100; 0: the crop is not passed through JPEG
};

struct FaceParameters {
  Expression expression;
  Appearance appearance;
  Scene scene;
};

}  // namespace emotion::training

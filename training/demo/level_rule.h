// The rule that gives a drawn face its four levels.
//
// THE RULE IS AN INVENTION. It was made up so that a demonstration has something to learn; it
// rests on no study, and it measures nobody: not boredom, not engagement, not confusion, not
// frustration. It says what a *drawing* is called, and nothing about a person.
//
// Each state has a score in 0..1, a weighted mean of things that can be seen, each in 0..1:
//
//   Boredom      0.75 eyelids droop     + 0.25 looks away
//   Engagement   0.55 faces the camera  + 0.30 looks at the camera + 0.15 mouth bright
//   Confusion    0.50 brows differ      + 0.35 head tilted         + 0.15 furrow
//   Frustration  0.40 brows pressed down + 0.40 corners of the mouth down
//                + 0.10 lips pressed    + 0.10 furrow
//
// and the level is how many of kThresholds the score has reached. The names are defined in
// level_rule.cc, one line each. Pure functions.
#pragma once

#include <array>

#include "common/affect/affect.h"
#include "training/demo/face_parameters.h"

namespace emotion::training {

using Scores = std::array<double, kStateCount>;  // in the order of kStates, each 0 to 1
using Levels = std::array<int, kStateCount>;     // in the order of kStates, each 0 to 3

inline constexpr std::array<double, kLevelCount - 1> kThresholds = {0.25, 0.50, 0.75};

// Faces for training and tests keep their scores at least this far from every threshold, since on
// either side of it the two pictures are the same to the eye.
inline constexpr double kDeadZone = 0.06;

Scores ScoresOf(const Expression& expression);

// A score on a threshold has reached it.
int LevelOf(double score);
Levels LevelsOf(const Scores& scores);

// True when some score is nearer than kDeadZone to a threshold.
bool InDeadZone(const Scores& scores);

}  // namespace emotion::training

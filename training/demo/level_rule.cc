#include "training/demo/level_rule.h"

#include <algorithm>
#include <cmath>

namespace emotion::training {
namespace {

double Clamp01(double value) { return std::clamp(value, 0.0, 1.0); }

double Droop(const Expression& e) { return Clamp01(1 - e.eye_openness); }
double LooksAway(const Expression& e) { return Clamp01(std::hypot(e.gaze_x, e.gaze_y)); }
double TurnedAway(const Expression& e) { return Clamp01(std::abs(e.head_yaw)); }
// "Bright": corners of the mouth up. Half of it is a neutral mouth.
double Bright(const Expression& e) { return Clamp01(0.5 + 0.5 * e.mouth_curve); }
double BrowsDiffer(const Expression& e) { return Clamp01(std::abs(e.brow_asymmetry)); }
double Tilted(const Expression& e) { return Clamp01(std::abs(e.head_tilt) / 22); }
double Furrow(const Expression& e) { return Clamp01(e.brow_furrow); }
double BrowsDown(const Expression& e) { return Clamp01(-e.brow_height); }
double CornersDown(const Expression& e) { return Clamp01(-e.mouth_curve); }
double Pressed(const Expression& e) { return Clamp01(e.lip_press); }

}  // namespace

Scores ScoresOf(const Expression& e) {
  return {
      0.75 * Droop(e) + 0.25 * LooksAway(e),
      0.55 * (1 - TurnedAway(e)) + 0.30 * (1 - LooksAway(e)) + 0.15 * Bright(e),
      0.50 * BrowsDiffer(e) + 0.35 * Tilted(e) + 0.15 * Furrow(e),
      0.40 * BrowsDown(e) + 0.40 * CornersDown(e) + 0.10 * Pressed(e) + 0.10 * Furrow(e),
  };
}

int LevelOf(double score) {
  return static_cast<int>(std::count_if(kThresholds.begin(), kThresholds.end(),
                                        [&](double threshold) { return score >= threshold; }));
}

Levels LevelsOf(const Scores& scores) {
  Levels levels{};
  std::transform(scores.begin(), scores.end(), levels.begin(), LevelOf);
  return levels;
}

bool InDeadZone(const Scores& scores) {
  return std::any_of(scores.begin(), scores.end(), [](double score) {
    return std::any_of(kThresholds.begin(), kThresholds.end(),
                       [&](double threshold) { return std::abs(score - threshold) < kDeadZone; });
  });
}

}  // namespace emotion::training

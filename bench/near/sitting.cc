#include "bench/near/sitting.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "training/demo/face_sampler.h"
#include "training/demo/level_rule.h"
#include "training/demo/random.h"

namespace emotion::bench {
namespace {

using training::Expression;
using training::FaceParameters;
using training::Random;

// An event in time. Its strength rises from 0 within `ramp_s`, stays at 1 and falls again.
struct Episode {
  EventKind kind;
  double start_s;
  double length_s;   // ramps included
  double extent;     // 0.7 .. 1 of the most that there is
  double direction;  // of a gaze: -1 left, 1 right
};

double RampOf(EventKind kind) { return kind == EventKind::kBlink ? 0.06 : 0.3; }

double StrengthAt(const Episode& episode, double time_s) {
  const double since = time_s - episode.start_s;
  const double left = episode.length_s - since;
  return std::clamp(std::min(since, left) / RampOf(episode.kind), 0.0, 1.0);
}

double Towards(double from, double to, double strength) { return from + (to - from) * strength; }

void Apply(Expression& e, const Episode& episode, double strength) {
  const double extent = episode.extent;
  switch (episode.kind) {
    case EventKind::kBlink:
    case EventKind::kEyesClosed:
      e.eye_openness = Towards(e.eye_openness, 0.5 * (1 - extent), strength);
      break;
    case EventKind::kFrown:
      e.brow_height = Towards(e.brow_height, -extent, strength);
      e.brow_furrow = Towards(e.brow_furrow, extent, strength);
      break;
    case EventKind::kYawn:
      e.mouth_openness = Towards(e.mouth_openness, extent, strength);
      e.lip_press = Towards(e.lip_press, 0, strength);
      e.eye_openness = Towards(e.eye_openness, 0.6 * (1 - extent), strength);
      break;
    case EventKind::kGazeAway:
      e.gaze_x = Towards(e.gaze_x, episode.direction * extent, strength);
      break;
  }
}

// Nobody sees eyes close that are shut already, or a glance between lids that are.
bool WouldShow(const Expression& e, EventKind kind) {
  switch (kind) {
    case EventKind::kBlink:
    case EventKind::kEyesClosed:
      return e.eye_openness > 0.4;
    case EventKind::kFrown:
      return e.brow_height > -0.3 && e.brow_furrow < 0.5;
    case EventKind::kYawn:
      return e.mouth_openness < 0.3;
    case EventKind::kGazeAway:
      return e.eye_openness > 0.5;
  }
  return false;
}

bool Undecided(const Expression& e) { return training::InDeadZone(training::ScoresOf(e)); }

// As far as it takes to leave the dead zone; nullopt where it does not show on this face, or where
// a few tries find nothing.
std::optional<Episode> PlanEvent(EventKind kind, const Expression& rest, double start_s,
                                 Random& random) {
  if (!WouldShow(rest, kind)) return std::nullopt;
  const double length_s = kind == EventKind::kYawn ? random.Uniform(3, 7) : random.Uniform(1, 8);
  constexpr int kTries = 50;
  for (int tries = 0; tries < kTries; ++tries) {
    const Episode episode = {.kind = kind,
                             .start_s = start_s,
                             .length_s = length_s,
                             .extent = random.Uniform(0.7, 1),
                             .direction = rest.gaze_x > 0 ? -1.0 : 1.0};
    Expression height = rest;
    Apply(height, episode, 1);
    if (!Undecided(height)) return episode;
  }
  return std::nullopt;
}

std::vector<Episode> PlanEvents(const Expression& rest, double seconds, Random& random) {
  std::vector<Episode> plan;
  for (double time = random.Uniform(4, 12); time < seconds; time += random.Uniform(8, 28)) {
    const auto kind = static_cast<EventKind>(1 + random.Below(kEventKinds - 1));
    const std::optional<Episode> episode = PlanEvent(kind, rest, time, random);
    if (!episode) continue;
    plan.push_back(*episode);
    time += episode->length_s;
  }
  return plan;
}

// Between the events; a blink during one would change its length.
std::vector<Episode> PlanBlinks(const Expression& rest, const std::vector<Episode>& events,
                                double seconds, Random& random) {
  std::vector<Episode> blinks;
  if (!WouldShow(rest, EventKind::kBlink)) return blinks;
  for (double time = random.Uniform(0, 5); time < seconds; time += random.Uniform(2, 8)) {
    const Episode blink = {EventKind::kBlink, time, random.Uniform(0.2, 0.4), 1, 0};
    const bool apart = std::all_of(events.begin(), events.end(), [&](const Episode& event) {
      return blink.start_s > event.start_s + event.length_s ||
             blink.start_s + blink.length_s < event.start_s;
    });
    if (apart) blinks.push_back(blink);
  }
  return blinks;
}

// The face at rest is not a mask.
class Play {
 public:
  void Step(Expression& e, double seconds, Random& random) {
    e.eye_openness = std::clamp(e.eye_openness + lids_.Step(seconds, random), 0.0, 1.0);
    e.brow_height = std::clamp(e.brow_height + brows_.Step(seconds, random), -1.0, 1.0);
    e.mouth_curve = std::clamp(e.mouth_curve + mouth_.Step(seconds, random), -1.0, 1.0);
    e.gaze_x = std::clamp(e.gaze_x + gaze_x_.Step(seconds, random), -1.0, 1.0);
    e.gaze_y = std::clamp(e.gaze_y + gaze_y_.Step(seconds, random), -1.0, 1.0);
  }

 private:
  Wander lids_{0.02, 5}, brows_{0.02, 8}, mouth_{0.02, 10}, gaze_x_{0.05, 2}, gaze_y_{0.04, 2};
};

void Move(FaceParameters& face, const Drift& drift) {
  constexpr double kHalfCrop = 56;  // pixels
  face.scene.centre_x += drift.shift_x / kHalfCrop;
  face.scene.centre_y += drift.shift_y / kHalfCrop;
  face.scene.scale *= drift.scale;
  face.scene.exposure *= drift.exposure;
  face.scene.light_slope = std::max(0.0, face.scene.light_slope + drift.slope);
  face.scene.warmth += drift.warmth;
  face.expression.head_tilt += drift.tilt;
  face.expression.head_yaw = std::clamp(face.expression.head_yaw + drift.yaw, -1.0, 1.0);
}

Expression Attentive(Random& random) {
  Expression e;
  e.eye_openness = random.Uniform(0.75, 1);
  e.gaze_x = random.Normal(0, 0.12);
  e.gaze_y = random.Normal(0, 0.12);
  e.brow_height = random.Normal(0, 0.12);
  e.brow_asymmetry = random.Normal(0, 0.12);
  e.brow_furrow = random.Uniform(0, 0.25);
  e.mouth_curve = random.Normal(0.05, 0.2);
  e.lip_press = random.Uniform(0, 0.3);
  e.head_tilt = random.Normal(0, 3);
  e.head_yaw = random.Normal(0, 0.1);
  return e;
}

FaceParameters AtRest(Random& random) {
  constexpr double kMoodShare = 0.25;
  FaceParameters face = training::SampleFace(random).parameters;
  face.scene.noise = random.Uniform(0.3, 1.5);
  face.scene.jpeg_quality = 80 + random.Below(14);
  if (random.Chance(kMoodShare)) return face;
  do {
    face.expression = Attentive(random);
  } while (Undecided(face.expression));
  return face;
}

// Appends `frame` to the event of this episode, which the camera may not have seen yet.
void Note(std::vector<Event>& events, const Episode& episode, bool begun, size_t frame) {
  if (begun) {
    ++events.back().frames;
  } else {
    events.push_back({episode.kind, frame, 1});
  }
}

}  // namespace

const char* EventName(EventKind kind) {
  switch (kind) {
    case EventKind::kBlink:
      return "blink";
    case EventKind::kEyesClosed:
      return "eyes closed";
    case EventKind::kFrown:
      return "frown";
    case EventKind::kYawn:
      return "yawn";
    case EventKind::kGazeAway:
      return "gaze away";
  }
  return "";
}

Sitting DrawSitting(uint64_t seed, const SittingOptions& options) {
  Random random(seed);
  const FaceParameters rest = AtRest(random);
  const double seconds = options.period_s * static_cast<double>(options.frames);
  std::vector<Episode> plan = PlanEvents(rest.expression, seconds, random);
  const std::vector<Episode> blinks = PlanBlinks(rest.expression, plan, seconds, random);
  plan.insert(plan.end(), blinks.begin(), blinks.end());
  DriftWalk drift(random.Next(), options.temper);
  Random play_random(random.Next());
  Play play;

  Sitting sitting{.period_s = options.period_s, .faces = {}, .events = {}};
  const Episode* seen = nullptr;
  for (size_t frame = 0; frame < options.frames; ++frame) {
    const double time = options.period_s * static_cast<double>(frame);
    FaceParameters face = rest;
    face.scene.noise_seed = static_cast<unsigned>(frame + 1);
    play.Step(face.expression, options.period_s, play_random);
    Move(face, drift.Step(options.period_s));
    for (const Episode& episode : plan) {
      const double strength = StrengthAt(episode, time);
      Apply(face.expression, episode, strength);
      if (strength < 0.5) continue;
      Note(sitting.events, episode, seen == &episode, frame);
      seen = &episode;
    }
    sitting.faces.push_back(face);
  }
  return sitting;
}

}  // namespace emotion::bench

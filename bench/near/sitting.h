// A learner in front of a camera for some minutes: drawn faces that drift (bench/near/drift.h) and,
// now and then, an event that a near-duplicate rule must not sleep through.
//
// Most learners sit there attentively, some in whatever mood the demo model was trained on. At
// rest, and at the height of an event, a face lies outside of the level rule's dead zone, as all
// faces that the demo model was trained and tested on.
//
// Pure: the same seed and options give the same frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/near/drift.h"
#include "training/demo/face_parameters.h"

namespace emotion::bench {

// What matters in a face. A blink of a quarter of a second comes every few seconds, as with
// anybody; the others last for seconds.
enum class EventKind { kBlink, kEyesClosed, kFrown, kYawn, kGazeAway };
inline constexpr int kEventKinds = 5;

// "blink", "eyes closed", "frown", "yawn", "gaze away".
const char* EventName(EventKind kind);

// An event as the camera saw it: the frames in which it was at least half there.
struct Event {
  EventKind kind = EventKind::kBlink;
  size_t first = 0;
  size_t frames = 0;  // at least 1
};

struct SittingOptions {
  double period_s = 2;  // from frame to frame
  size_t frames = 90;
  Temper temper = Temper::kCalm;
};

struct Sitting {
  double period_s = 2;
  std::vector<training::FaceParameters> faces;  // one per frame
  std::vector<Event> events;                    // in order; they do not overlap
};

Sitting DrawSitting(uint64_t seed, const SittingOptions& options);

}  // namespace emotion::bench

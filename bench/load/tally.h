// What became of every frame: counts and distributions by phase and class of session, answers by
// session, and what happened second by second.
//
// A frame counts where and when it was due, never when its answer came, and its latency runs from
// then: a generator or a server that falls behind cannot hide it (no coordinated omission). Times
// are offsets from the begin of the run. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/load/answer.h"
#include "bench/load/frame_clock.h"
#include "bench/load/latency_histogram.h"

namespace emotion::bench {

struct FrameRecord {
  size_t session = 0;
  FrameTime time;
};

// Of a set of frames. offered = in_time + late + superseded + refused + failed + withdrawn, once
// all of them have an end.
struct Slice {
  uint64_t offered = 0;  // frames that a session decided to send
  uint64_t sent = 0;     // handed to the transport
  uint64_t in_time = 0;  // predictions within the deadline: the goodput
  uint64_t late = 0;     // predictions after it
  uint64_t superseded = 0;
  uint64_t refused = 0;
  uint64_t failed = 0;
  uint64_t exact = 0;         // predictions out of the cache: of the same image
  uint64_t near = 0;          // and of another of the same face
  uint64_t withdrawn = 0;     // the session cancelled it or left
  uint64_t held_back = 0;     // not offered: the session follows the server's pace
  LatencyHistogram latency;   // of predictions
  LatencyHistogram cached;    // of those that are exact or near
  LatencyHistogram encoded;   // of the others
  LatencyHistogram age;       // of predictions, from the capture
  LatencyHistogram refusal;   // of refusals
  LatencyHistogram send_lag;  // how late frames were sent: the generator's own share
  std::map<std::string, uint64_t> reasons;

  void Merge(const Slice& other);
};

struct Second {
  uint64_t offered = 0;
  uint64_t in_time = 0;
  uint64_t refused = 0;
  uint64_t superseded = 0;
  LatencyHistogram latency;
};

// Over the sessions of a class.
struct SessionSpread {
  uint64_t starved = 0;  // sessions that offered frames and got no prediction at all
  uint64_t least = 0;    // predictions of a session
  uint64_t median = 0;
  uint64_t most = 0;
  Offset longest_gap{0};  // the longest time that any session went without one
};

enum class Class { kAll, kHeavy, kOthers };

class Tally {
 public:
  // The first `heavy` of `sessions` are the heavy class. Borrows `plan`.
  Tally(const PhasePlan& plan, size_t sessions, size_t heavy, std::chrono::nanoseconds deadline);

  void HeldBack(const FrameRecord& frame);
  void Offered(const FrameRecord& frame);
  void Sent(const FrameRecord& frame, Offset now);
  // Exactly one of these for every frame that was offered.
  void Answered(const FrameRecord& frame, const Answer& answer, Offset now);
  void Withdrawn(const FrameRecord& frame);

  // `phase` past the last one: the whole run.
  Slice Sum(size_t phase, Class of) const;
  // Of the whole run; `end` closes the last gap.
  SessionSpread Spread(Class of, Offset end) const;
  const std::vector<Second>& seconds() const { return seconds_; }
  // Seconds from the begin of `phase` until at least 99 % of every later second's frames were
  // predicted in time; the phase's whole length where that never came.
  double SecondsToSettle(size_t phase) const;

  bool has_heavy() const { return heavy_ > 0; }
  const PhasePlan& plan() const { return plan_; }

 private:
  struct Session {
    uint64_t offered = 0;
    uint64_t predictions = 0;
    Offset last{-1};  // prediction, or first frame
    Offset longest_gap{0};
  };

  Slice& SliceOf(const FrameRecord& frame);
  Second& SecondOf(const FrameRecord& frame);
  bool IsIn(size_t session, Class of) const;
  void Predicted(const FrameRecord& frame, Cached cached, Offset now);

  const PhasePlan& plan_;
  const size_t heavy_;
  const std::chrono::nanoseconds deadline_;
  std::vector<Slice> slices_;  // two per phase: heavy, others
  std::vector<Session> sessions_;
  std::vector<Second> seconds_;
};

}  // namespace emotion::bench

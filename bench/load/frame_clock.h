// When a simulated webcam takes its frames: the plan of a run, and one clock per session.
//
// Times are offsets from the begin of the run. The clock never looks at answers: that is what makes
// the load an open loop. Pure and repeatable: equal seeds give equal times.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::bench {

using Offset = std::chrono::nanoseconds;  // since the begin of the run

// A stretch of the run in which all sessions send at `rate` times their own frame rate.
struct Phase {
  std::string name = "all";
  double rate = 1;  // 0: a pause
  Offset length{0};
};

// "name=surge,rate=2,seconds=10" (also "2x"; rate 1 and the phase's number as its name where they
// are left out). INVALID_ARGUMENT names what is wrong with which part.
absl::StatusOr<Phase> ParsePhase(std::string_view text, size_t number);

class PhasePlan {
 public:
  // REQUIRES: at least one phase.
  explicit PhasePlan(std::vector<Phase> phases);

  const std::vector<Phase>& phases() const { return phases_; }
  Offset Begin(size_t phase) const { return begins_[phase]; }
  Offset total() const { return begins_.back(); }
  // The last one from the end of the plan on.
  size_t PhaseAt(Offset time) const;

 private:
  std::vector<Phase> phases_;
  std::vector<Offset> begins_;  // one more than phases
};

enum class Arrivals {
  kRegular,  // a camera: equal steps, shifted at random between sessions
  kPoisson,  // people: exponential steps
};

struct FrameTime {
  Offset capture{0};  // the picture is taken
  Offset due{0};      // it ought to be sent: the capture, and up to the jitter later
};

class FrameClock {
 public:
  struct Options {
    double fps = 1;     // where the phase's rate is 1
    double jitter = 0;  // share of a frame's period; below 1, so that frames keep their order
    Arrivals arrivals = Arrivals::kRegular;
    uint32_t seed = 1;
  };

  // Borrows `plan`.
  FrameClock(const PhasePlan& plan, const Options& options);

  // The next frame; nullopt once the plan is over.
  std::optional<FrameTime> Next();

 private:
  double Uniform();
  std::optional<Offset> Advance(double frames);

  const PhasePlan& plan_;
  const Options options_;
  std::minstd_rand random_;
  bool first_ = true;
  Offset now_{0};
};

}  // namespace emotion::bench

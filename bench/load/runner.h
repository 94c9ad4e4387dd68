// One run: connect everybody, send by the plan, wait for the last answers, hand back the tally.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/tally.h"

namespace emotion::bench {

struct RunOutcome {
  std::unique_ptr<PhasePlan> plan;  // the tally's
  std::unique_ptr<Tally> tally;
  RunFacts facts;
};

// Blocks for the length of the plan and a little more. Raises the limit of open files. Errors: the
// image cannot be read; UNAVAILABLE when sessions could not connect.
absl::StatusOr<RunOutcome> RunLoad(const LoadOptions& options);

}  // namespace emotion::bench

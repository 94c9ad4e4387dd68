// emotion-bench-load: webcam sessions against a running system.
#include <cstdio>
#include <fstream>

#include <fmt/format.h>

#include "bench/load/runner.h"

namespace {

using namespace emotion::bench;  // NOLINT: this file is its command

int Complain(std::string_view message) {
  fmt::print(stderr, "emotion-bench-load: {}\n", message);
  return 1;
}

// 1 when an objective is missed; 3 when one is and the generator itself fell behind, which says
// more about the machine than about the server.
int Report(const LoadOptions& options, const RunOutcome& outcome) {
  const Values values = MakeValues(*outcome.tally, outcome.facts);
  fmt::print("{}\n", MakeText(*outcome.tally, outcome.facts, values));
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file);
    file << MakeJson(*outcome.tally, outcome.facts, values);
    if (!file.flush()) return Complain(fmt::format("{} cannot be written", options.json_file));
  }
  const std::vector<std::string> missed = Missed(options.objectives, values);
  for (const std::string& line : missed) fmt::print("MISSED {}\n", line);
  if (missed.empty()) return 0;
  const double lag = values.at("send_lag_p99_ms");
  if (lag <= options.max_send_lag_ms) return 1;
  fmt::print("NOT JUDGED: the generator itself sent {:.0f} ms late; the machine is too busy\n",
             lag);
  return 3;
}

}  // namespace

int main(int argc, char** argv) {
  const ParsedOptions parsed = ParseLoadOptions(argc, argv);
  if (!parsed.run) return parsed.exit_code;
  const absl::StatusOr<RunOutcome> outcome = RunLoad(parsed.options);
  if (!outcome.ok()) return Complain(std::string(outcome.status().message()));
  return Report(parsed.options, *outcome);
}

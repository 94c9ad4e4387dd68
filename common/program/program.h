// What every server program does around its servers: signals first, then settings, --help, logs,
// start, the line that says where it listens, /metrics, the wait for a signal, and the drain in its
// order. A main function says what to start and nothing else.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/observe/metrics.h"
#include "common/program/running_servers.h"

namespace emotion {

struct StartContext {
  const Settings& settings;
  Metrics& metrics;  // outlives the servers

  // To be called exactly once, on any thread, also before the servers are returned: OK, the models
  // are there and work is taken; an error ends the program.
  std::function<void(const absl::Status&)> loaded;
};

using StartServers =
    std::function<absl::StatusOr<std::unique_ptr<RunningServers>>(const StartContext& context)>;

struct ProgramDescription {
  std::string_view name;     // "emotion-gateway"
  std::string_view service;  // in log lines: "gateway"
  unsigned roles;            // whose settings it reads
};

// Runs until a signal has been obeyed. Prints one line on stdout when ready:
//   emotion-gateway is ready: open http://localhost:8000, metrics 127.0.0.1:9101
// Returns the exit code: 0 after an orderly stop, 2 when the settings (or the files that they name)
// are wrong, 1 for everything else.
int RunProgram(const ProgramDescription& program, std::span<const std::string> args,
               const StartServers& start);

}  // namespace emotion

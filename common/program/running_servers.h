// The servers of a process, started: what RunProgram (program.h) waits for and drains.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace emotion {

class RunningServers {
 public:
  virtual ~RunningServers() = default;

  // Whether this process can serve now; answers /health/ready. Any thread; must not block.
  virtual bool ready() const = 0;

  // Where they listen, for people: "grpc 127.0.0.1:50051".
  virtual std::string Addresses() const = 0;

  // Says no to new work within `stop_sending_within`; accepted work goes on.
  virtual void BeginDrain(std::chrono::milliseconds stop_sending_within) = 0;

  // Answers what was accepted until `deadline`, then ends. Safe to call twice.
  virtual void Stop(std::chrono::steady_clock::time_point deadline) = 0;
};

// "127.0.0.1:50051" with the port that was bound in place of the one asked for.
std::string BoundAddress(std::string_view listen, int port);

}  // namespace emotion

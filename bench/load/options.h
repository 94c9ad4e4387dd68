// What a run of the load generator is: flags of emotion-bench-load, checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "bench/load/frame_clock.h"
#include "bench/load/objective.h"

namespace emotion::bench {

enum class Transport { kRest, kWebSocket, kGrpc };

struct LoadOptions {
  Transport transport = Transport::kRest;
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string label;
  std::string image_file;  // a JPEG; all frames are variations of it

  size_t sessions = 10;
  double fps = 1;     // of a session where the phase's rate is 1
  double jitter = 0;  // share of a frame's period
  Arrivals arrivals = Arrivals::kRegular;
  std::vector<Phase> phases;
  std::chrono::milliseconds deadline{1000};
  double repeat_share = 0;  // frames with the bytes of the session's frame before
  double near_share = 0;    // frames that differ from it by next to nothing
  bool follow_pace = false;
  bool live = true;          // gRPC: frames carry a sequence, so newer ones supersede
  bool lone_binary = false;  // WebSocket: frames without their text message

  size_t heavy_sessions = 0;  // of one subject; besides `sessions`
  double heavy_factor = 10;   // the subject's rate over that of one of the others
  size_t addresses = 0;       // the others are spread over so many; 0: one each

  double disconnect_share = 0;  // frames after which the session drops its connection
  std::chrono::milliseconds reconnect_after{500};
  double cancel_share = 0;  // frames that are withdrawn soon after (REST: the connection closes)
  double short_share = 0;   // frames with `short_deadline` in place of the deadline
  std::chrono::milliseconds short_deadline{5};

  double connect_rate = 2000;              // new sessions a second at the begin
  size_t max_connections = 8000;           // REST: open at once; frames wait for one
  size_t streams = 4;                      // gRPC: that all sessions share
  std::chrono::milliseconds linger{3000};  // for answers, after the last frame
  uint32_t seed = 1;

  pid_t server_pid = 0;
  std::string json_file;
  std::vector<Objective> objectives;
  double max_send_lag_ms = 50;  // above it objectives are not judged

  size_t all_sessions() const { return sessions + heavy_sessions; }
};

struct ParsedOptions {
  LoadOptions options;
  bool run = false;   // false: help was printed, or the flags were wrong and it was said how
  int exit_code = 0;  // where run is false
};

ParsedOptions ParseLoadOptions(int argc, char** argv);

}  // namespace emotion::bench

#include "bench/load/options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/load/report.h"

namespace emotion::bench {
namespace {

constexpr int kWrongUsage = 2;

// Flags as text, before they are understood.
struct RawFlags {
  std::string target = "127.0.0.1:8000";
  std::string transport = "rest";
  std::string arrivals = "regular";
  std::vector<std::string> phases;
  std::vector<std::string> objectives;
  int64_t deadline_ms = 1000;
  int64_t reconnect_ms = 500;
  int64_t short_deadline_ms = 5;
  int64_t linger_ms = 3000;
};

std::string Footer() {
  return "Every frame is sent when it is due, whether or not earlier ones were answered, and its\n"
         "latency runs from then. Examples:\n\n"
         "  emotion-bench-load --transport ws --sessions 30 --fps 30 --follow-pace\n"
         "  emotion-bench-load --sessions 50 --fps 8 --deadline-ms 1000 \\\n"
         "      --phase name=warm,rate=0.5,seconds=10 --phase name=surge,rate=2,seconds=60 \\\n"
         "      --phase name=recovery,rate=0.5,seconds=10 --server-pid $PID \\\n"
         "      --objective 'surge.p99_ms<=1000' --objective 'recovery.settle_s<=5'\n\n"
         "Objectives are NAME, a relation (<= >= < > ==) and a number; one that does not hold "
         "makes\n"
         "the exit code 1. NAME may begin with a phase, and with heavy. or others. where there is "
         "a\n"
         "heavy subject: surge.others.p99_ms. Names:\n\n" +
         ValueNames();
}

void AddLoadFlags(CLI::App& app, LoadOptions& options, RawFlags& raw) {
  const auto share = CLI::Range(0.0, 1.0);
  app.add_option("--sessions", options.sessions, "webcams")->capture_default_str();
  app.add_option("--fps", options.fps, "frames a second of each, where a phase's rate is 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--jitter", options.jitter, "frames are sent up to this share of a period late")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 0.99));
  app.add_option("--arrivals", raw.arrivals, "regular (cameras) or poisson (people)")
      ->capture_default_str()
      ->check(CLI::IsMember({"regular", "poisson"}));
  app.add_option("--phase", raw.phases, "name=NAME,rate=FACTOR,seconds=N; repeat for more");
  app.add_option("--deadline-ms", raw.deadline_ms, "an answer is of use so long")
      ->capture_default_str()
      ->check(CLI::Range(1, 600'000));
  app.add_option("--repeat-share", options.repeat_share, "frames equal to the one before")
      ->check(share);
  app.add_option("--near-share", options.near_share, "frames that hardly differ from it")
      ->check(share);
  app.add_flag("--follow-pace", options.follow_pace, "obey next_frame_after_ms");
  app.add_option("--heavy-sessions", options.heavy_sessions,
                 "sessions of one heavy subject, besides");
  app.add_option("--heavy-factor", options.heavy_factor, "its rate over one of the others'")
      ->capture_default_str();
  app.add_option("--addresses", options.addresses,
                 "source addresses of the others (127.x.y.z); 0: one each");
  app.add_option("--disconnect-share", options.disconnect_share,
                 "frames after which the session drops its connection")
      ->check(share);
  app.add_option("--reconnect-ms", raw.reconnect_ms, "comes back after about")
      ->capture_default_str();
  app.add_option("--cancel-share", options.cancel_share, "frames withdrawn soon after (rest, grpc)")
      ->check(share);
  app.add_option("--short-share", options.short_share, "frames with a short deadline (rest, grpc)")
      ->check(share);
  app.add_option("--short-deadline-ms", raw.short_deadline_ms, "that one")->capture_default_str();
}

void AddTargetFlags(CLI::App& app, LoadOptions& options, RawFlags& raw) {
  app.add_option("--target", raw.target, "HOST:PORT of a gateway; with grpc of a classifier")
      ->capture_default_str();
  app.add_option("--transport", raw.transport, "rest, ws or grpc")
      ->capture_default_str()
      ->check(CLI::IsMember({"rest", "ws", "grpc"}));
  app.add_option("--streams", options.streams, "grpc: streams that all sessions share")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_flag("--live,!--no-live", options.live, "grpc: newer frames of a session supersede");
  app.add_flag("--lone-binary", options.lone_binary, "ws: no text message before each frame");
  app.add_option("--max-connections", options.max_connections, "rest: open at once")
      ->capture_default_str();
  app.add_option("--connect-rate", options.connect_rate, "new sessions a second at the begin")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--image", options.image_file, "a JPEG that all frames are variations of")
      ->capture_default_str()
      ->check(CLI::ExistingFile);
  app.add_option("--seed", options.seed, "equal seeds send at equal times")->capture_default_str();
}

void AddReportFlags(CLI::App& app, LoadOptions& options, RawFlags& raw) {
  app.add_option("--label", options.label, "title of the tables");
  app.add_option("--json", options.json_file, "also write all numbers there");
  app.add_option("--server-pid", options.server_pid, "show CPU and memory of this process");
  app.add_option("--objective", raw.objectives, "what the run has to reach; repeat for more");
  app.add_option("--max-send-lag-ms", options.max_send_lag_ms,
                 "with a larger send_lag_p99_ms a missed objective is not judged: exit code 3")
      ->capture_default_str();
  app.add_option("--linger-ms", raw.linger_ms, "wait so long for the last answers")
      ->capture_default_str();
}

absl::Status ReadTarget(const std::string& target, LoadOptions& options) {
  const size_t colon = target.rfind(':');
  const int port = colon == std::string::npos ? 0 : std::atoi(target.c_str() + colon + 1);
  if (port < 1 || port > 65535) {
    return absl::InvalidArgumentError(fmt::format("--target: '{}' is not HOST:PORT", target));
  }
  options.host = target.substr(0, colon);
  if (options.host == "localhost") options.host = "127.0.0.1";
  options.port = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

absl::Status Understand(const RawFlags& raw, LoadOptions& options) {
  if (absl::Status read = ReadTarget(raw.target, options); !read.ok()) return read;
  options.transport = raw.transport == "ws"     ? Transport::kWebSocket
                      : raw.transport == "grpc" ? Transport::kGrpc
                                                : Transport::kRest;
  options.arrivals = raw.arrivals == "poisson" ? Arrivals::kPoisson : Arrivals::kRegular;
  for (const std::string& text : raw.phases) {
    auto phase = ParsePhase(text, options.phases.size() + 1);
    if (!phase.ok()) return phase.status();
    options.phases.push_back(*std::move(phase));
  }
  if (options.phases.empty()) {
    options.phases.push_back({.name = "run", .rate = 1, .length = std::chrono::seconds(10)});
  }
  for (const std::string& text : raw.objectives) {
    auto objective = ParseObjective(text);
    if (!objective.ok()) return objective.status();
    options.objectives.push_back(*std::move(objective));
  }
  options.deadline = std::chrono::milliseconds(raw.deadline_ms);
  options.reconnect_after = std::chrono::milliseconds(raw.reconnect_ms);
  options.short_deadline = std::chrono::milliseconds(raw.short_deadline_ms);
  options.linger = std::chrono::milliseconds(raw.linger_ms);
  if (options.all_sessions() == 0) return absl::InvalidArgumentError("--sessions: must not be 0");
  return absl::OkStatus();
}

}  // namespace

ParsedOptions ParseLoadOptions(int argc, char** argv) {
  ParsedOptions parsed;
  parsed.options.image_file = EMOTION_SOURCE_DIR "/tests/data/images/astronaut_face.jpg";
  RawFlags raw;
  CLI::App app("Webcam sessions against a running system: goodput, latency, age, fairness.",
               "emotion-bench-load");
  app.footer(Footer());
  AddTargetFlags(app, parsed.options, raw);
  AddLoadFlags(app, parsed.options, raw);
  AddReportFlags(app, parsed.options, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : kWrongUsage;
    return parsed;
  }
  const absl::Status understood = Understand(raw, parsed.options);
  parsed.run = understood.ok();
  if (!parsed.run) {
    fmt::print(stderr, "emotion-bench-load: {}\n", std::string(understood.message()));
    parsed.exit_code = kWrongUsage;
  }
  return parsed;
}

}  // namespace emotion::bench

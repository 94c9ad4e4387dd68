// emotion-bench-stack: the whole system over an encoder that sleeps. Prints one line when it
// serves, another with what it still holds when it is told to stop.
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "bench/stack/stack.h"
#include "common/lifecycle/lifecycle.h"
#include "common/log/log.h"

namespace {

using namespace emotion;  // NOLINT: this file is its command

constexpr std::chrono::seconds kDrain{2};

struct Flags {
  bench::StackOptions options;
  double encode_ms = 20;
  double per_frame_ms = 0;
  int64_t request_timeout_ms = 10'000;
  std::string log_level = "warning";
};

std::chrono::microseconds FromMilliseconds(double ms) {
  return std::chrono::microseconds(static_cast<int64_t>(ms * 1000));
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--encode-ms", flags.encode_ms, "time of a batch, whatever its size")
      ->capture_default_str();
  app.add_option("--per-frame-ms", flags.per_frame_ms, "and for each of its frames")
      ->capture_default_str();
  app.add_option("--batch", flags.options.batch, "most frames of a batch")->capture_default_str();
  app.add_flag("--fifo", flags.options.fifo,
               "a plain queue in place of the embedding service: no admission, deadlines, turns "
               "or newest frames");
  app.add_option("--port", flags.options.port, "of the gateway; 0: any free one");
  app.add_option("--queue-limit", flags.options.queue_limit, "QUEUE_LIMIT")->capture_default_str();
  app.add_option("--redis", flags.options.redis,
                 "host or socket of a Redis that is all of the cache");
  app.add_option("--request-timeout-ms", flags.request_timeout_ms, "REQUEST_TIMEOUT_MS")
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "debug, info, warning or error")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
}

int Serve(Flags& flags) {
  StopSignals signals;  // before any thread
  InitLogging({.level = *ParseLogLevel(flags.log_level), .service = "bench"});
  flags.options.time = {FromMilliseconds(flags.encode_ms), FromMilliseconds(flags.per_frame_ms)};
  flags.options.request_timeout = std::chrono::milliseconds(flags.request_timeout_ms);
  Metrics metrics(BuildInfo{.version = "bench", .commit = ""});
  const auto stack = bench::Stack::Start(flags.options, metrics);
  if (!stack.ok()) {
    fmt::print(stderr, "emotion-bench-stack: {}\n", std::string(stack.status().message()));
    return 1;
  }
  fmt::print("ready: gateway 127.0.0.1:{} classifier 127.0.0.1:{} pid {}\n",
             (*stack)->gateway_port(), (*stack)->classifier_port(), getpid());
  std::fflush(stdout);
  signals.Wait();
  fmt::print("held: {}\n", (*stack)->Held());
  (*stack)->Stop(std::chrono::steady_clock::now() + kDrain);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The whole system over an encoder that sleeps, for emotion-bench-load.",
               "emotion-bench-stack");
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  return Serve(flags);
}

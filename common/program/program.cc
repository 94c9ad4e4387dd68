#include "common/program/program.h"

#include <cstdio>
#include <optional>

#include "common/lifecycle/lifecycle.h"
#include "common/log/log.h"
#include "common/observe/admin_server.h"
#include "common/sync/mutex.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongSettings = 2;

int Complain(const ProgramDescription& program, const absl::Status& status) {
  fmt::print(stderr, "{}: {}\n", program.name, std::string(status.message()));
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
      return kWrongSettings;
    default:
      return kFailed;
  }
}

void StartLog(const ProgramDescription& program, const Settings& settings) {
  InitLogging({.format = *ParseLogFormat(settings.String("LOG_FORMAT")),
               .level = *ParseLogLevel(settings.String("LOG_LEVEL")),
               .service = std::string(program.service)});
  for (const EffectiveSetting& setting : settings.Effective()) {
    LogInfo("setting",
            {{"name", setting.name}, {"value", setting.value}, {"source", setting.source}});
  }
  const bool has_models = (program.roles & (kClassifierRole | kEmbeddingRole)) != 0;
  if (has_models) LogInfo("Starting up - loading models...");
}

// Brings together two events that come in either order: the servers stand, the models are loaded.
class Announcer {
 public:
  Announcer(const ProgramDescription& program, StopSignals& signals)
      : program_(program), signals_(signals) {}

  void Loaded(const absl::Status& status) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    loaded_ = status;
    if (!status.ok()) signals_.RequestStop();
    AnnounceWhenReady();
  }

  void Listening(std::string addresses) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    addresses_ = std::move(addresses);
    AnnounceWhenReady();
  }

  absl::Status status() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return loaded_.value_or(absl::OkStatus());
  }

 private:
  void AnnounceWhenReady() REQUIRES_LOCK(mutex_) {
    if (!loaded_ || !loaded_->ok() || addresses_.empty()) return;
    const bool has_models = (program_.roles & (kClassifierRole | kEmbeddingRole)) != 0;
    if (has_models) LogInfo("Models loaded successfully");
    LogInfo("ready", {{"addresses", addresses_}});
    fmt::print("{} is ready: {}\n", program_.name, addresses_);
    std::fflush(stdout);
    NotifySystemd("READY=1");
  }

  const ProgramDescription& program_;
  StopSignals& signals_;
  Mutex mutex_;
  std::optional<absl::Status> loaded_ GUARDED_BY(mutex_);
  std::string addresses_ GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<AdminServer>> StartAdmin(const Settings& settings,
                                                        const RunningServers& servers,
                                                        const Metrics& metrics) {
  const std::string listen(settings.String("METRICS_LISTEN"));
  if (listen == "off") return std::unique_ptr<AdminServer>();
  return AdminServer::Start({.listen = listen, .ready = [&servers] { return servers.ready(); }},
                            metrics);
}

void Drain(const Settings& settings, const StopRequest& stop, StopSignals& signals,
           RunningServers& servers) {
  const DrainPlan plan = PlanDrain(stop, settings.Milliseconds("DRAIN_DELAY_MS"),
                                   settings.Milliseconds("DRAIN_TIMEOUT_MS"));
  const Watchdog watchdog(plan.deadline + kWatchdogGrace);
  NotifySystemd("STOPPING=1");
  LogInfo("stopping", {{"signal", stop.signal}});
  const auto accept_for = plan.accept_until - std::chrono::steady_clock::now();
  servers.BeginDrain(std::max(std::chrono::milliseconds(0),
                              std::chrono::duration_cast<std::chrono::milliseconds>(accept_for)));
  signals.WaitUntil(plan.accept_until);
  servers.Stop(plan.deadline);
  LogInfo("stopped");
}

int Serve(const ProgramDescription& program, const Settings& settings, StopSignals& signals,
          const StartServers& start) {
  Metrics metrics(BuildInfo{.version = EMOTION_VERSION, .commit = ""});
  Announcer announcer(program, signals);
  const auto servers =
      start({.settings = settings, .metrics = metrics, .loaded = [&](const absl::Status& status) {
               announcer.Loaded(status);
             }});
  if (!servers.ok()) return Complain(program, servers.status());
  const auto admin = StartAdmin(settings, **servers, metrics);
  if (!admin.ok()) return Complain(program, admin.status());
  std::string addresses = (*servers)->Addresses();
  if (*admin) {
    addresses += ", metrics " + BoundAddress(settings.String("METRICS_LISTEN"), (*admin)->port());
  }
  announcer.Listening(std::move(addresses));
  Drain(settings, signals.Wait(), signals, **servers);
  const absl::Status loaded = announcer.status();
  return loaded.ok() ? 0 : Complain(program, loaded);
}

}  // namespace

int RunProgram(const ProgramDescription& program, std::span<const std::string> args,
               const StartServers& start) {
  StopSignals signals;  // before any thread, so that none is stopped by what main waits for
  const auto settings = Settings::Parse(args, ProcessEnvironment(), program.roles);
  if (!settings.ok()) return Complain(program, settings.status());
  if (!settings->positionals().empty()) {
    return Complain(program, absl::InvalidArgumentError(fmt::format(
                                 "'{}' is no flag; booleans are --name=false or --no-name",
                                 settings->positionals().front())));
  }
  if (settings->help()) {
    fmt::print("usage: {} [FLAG...]\n\n{}", program.name, HelpText(program.roles));
    return 0;
  }
  if (settings->version()) {
    fmt::print("{} {}\n", program.name, EMOTION_VERSION);
    return 0;
  }
  StartLog(program, *settings);
  return Serve(program, *settings, signals, start);
}

std::string BoundAddress(std::string_view listen, int port) {
  return fmt::format("{}:{}", listen.substr(0, listen.rfind(':')), port);
}

}  // namespace emotion

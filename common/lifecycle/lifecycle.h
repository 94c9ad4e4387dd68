// How a process stops: signals, the drain plan, and the watchdog behind it.
//
//   int main() {
//     StopSignals signals;                    // first, before any thread
//     ... start servers (models load on their own threads) ...
//     const StopRequest stop = signals.Wait();
//     const DrainPlan plan = PlanDrain(stop, delay, timeout);
//     Watchdog watchdog(plan.deadline + kWatchdogGrace);
//     server.BeginDrain();                    // health says no, streams get Drain
//     signals.WaitUntil(plan.accept_until);   // balancers look elsewhere; a second signal hurries
//     server.Stop(plan.deadline);
//   }
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <thread>

#include "common/sync/mutex.h"

namespace emotion {

struct StopRequest {
  int signal = 0;  // SIGTERM, SIGINT; 0: RequestStop
  std::chrono::steady_clock::time_point time;
};

// Blocks SIGTERM and SIGINT in the thread that makes it and in all threads started later, so that
// only Wait sees them, and ignores SIGPIPE. One per process, made first thing in main.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Returns at the first signal or RequestStop, also when that came before.
  StopRequest Wait();

  // Returns at `time`, or earlier at a signal (true): someone is in a hurry.
  bool WaitUntil(std::chrono::steady_clock::time_point time);

  // As a signal, from any thread: for a part that failed and ends the process.
  void RequestStop();

 private:
  std::optional<StopRequest> Poll(int timeout_ms);

  int signal_fd_ = -1;
  int request_fd_ = -1;
};

// Counted once for the whole process, from the signal, however many services it holds.
struct DrainPlan {
  std::chrono::steady_clock::time_point accept_until;  // new work is still taken until then
  std::chrono::steady_clock::time_point deadline;      // accepted work must be answered by then
};

// SIGINT (a person at a terminal) and RequestStop skip the delay.
DrainPlan PlanDrain(const StopRequest& stop, std::chrono::milliseconds delay,
                    std::chrono::milliseconds timeout);

inline constexpr std::chrono::seconds kWatchdogGrace{5};
inline constexpr int kWatchdogExitCode = 70;

// Ends the process with kWatchdogExitCode and a log line at `time`, unless destroyed before: a
// stuck handler must not keep a replica half dead.
class Watchdog {
 public:
  explicit Watchdog(std::chrono::steady_clock::time_point time);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void Run(std::chrono::steady_clock::time_point time);

  Mutex mutex_;
  CondVar stopped_changed_;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Tells systemd ("READY=1", "STOPPING=1") over $NOTIFY_SOCKET; does nothing without one.
void NotifySystemd(std::string_view state);

}  // namespace emotion

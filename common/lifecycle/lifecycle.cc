#include "common/lifecycle/lifecycle.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log/log.h"

namespace emotion {
namespace {

using Clock = std::chrono::steady_clock;

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// For poll; rounded up, so that the time has come when it returns.
int MillisecondsUntil(Clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  request_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Without them the process could never be stopped in order.
  if (signal_fd_ < 0 || request_fd_ < 0) std::abort();
}

StopSignals::~StopSignals() {
  close(signal_fd_);
  close(request_fd_);
}

StopRequest StopSignals::Wait() {
  while (true) {
    if (const auto stop = Poll(-1)) return *stop;
  }
}

bool StopSignals::WaitUntil(Clock::time_point time) {
  do {
    if (Poll(MillisecondsUntil(time))) return true;
  } while (Clock::now() < time);
  return false;
}

void StopSignals::RequestStop() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(request_fd_, &one, sizeof(one));
}

std::optional<StopRequest> StopSignals::Poll(int timeout_ms) {
  std::array<pollfd, 2> fds = {pollfd{signal_fd_, POLLIN, 0}, pollfd{request_fd_, POLLIN, 0}};
  if (poll(fds.data(), fds.size(), timeout_ms) <= 0) return std::nullopt;  // time is up, or EINTR
  signalfd_siginfo info{};
  if (read(signal_fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    return StopRequest{static_cast<int>(info.ssi_signo), Clock::now()};
  }
  uint64_t requests = 0;
  if (read(request_fd_, &requests, sizeof(requests)) == static_cast<ssize_t>(sizeof(requests))) {
    return StopRequest{0, Clock::now()};
  }
  return std::nullopt;
}

DrainPlan PlanDrain(const StopRequest& stop, std::chrono::milliseconds delay,
                    std::chrono::milliseconds timeout) {
  const bool skips_delay = stop.signal != SIGTERM;
  const Clock::time_point accept_until = skips_delay ? stop.time : stop.time + delay;
  return {accept_until, accept_until + timeout};
}

Watchdog::Watchdog(Clock::time_point time) : thread_([this, time] { Run(time); }) {}

Watchdog::~Watchdog() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    stopped_changed_.NotifyAll();
  }
  thread_.join();
}

void Watchdog::Run(Clock::time_point time) {
  {
    MutexLock lock(mutex_);
    while (!stopped_ && Clock::now() < time) stopped_changed_.WaitUntil(mutex_, time);
    if (stopped_) return;
  }
  LogError("The process did not stop in time; the watchdog ends it",
           {{"exit_code", kWatchdogExitCode}});
  _exit(kWatchdogExitCode);
}

void NotifySystemd(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
  close(fd);
}

}  // namespace emotion

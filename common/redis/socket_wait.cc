#include "common/redis/socket_wait.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace emotion {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

WakeEvent::WakeEvent() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

WakeEvent::~WakeEvent() { close(fd_); }

void WakeEvent::Signal() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));  // full: it is awake
}

void WakeEvent::Clear() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof(count));
}

Waited WaitUntil(const SocketWait& wait, steady_clock::time_point deadline) {
  std::array<pollfd, 3> fds = {pollfd{wait.stop, POLLIN, 0}, pollfd{wait.socket, wait.events, 0},
                               pollfd{wait.wake, POLLIN, 0}};  // poll skips negative ones
  for (;;) {
    const auto left = std::max(
        std::chrono::duration_cast<nanoseconds>(deadline - steady_clock::now()), nanoseconds(0));
    const timespec timeout = {.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
                              .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
    const int ready = ppoll(fds.data(), fds.size(), &timeout, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Waited::kTimeout;
    if (fds[0].revents != 0) return Waited::kStopped;
    return fds[1].revents != 0 ? Waited::kSocket : Waited::kWoken;
  }
}

}  // namespace emotion

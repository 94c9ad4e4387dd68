// Waiting on sockets, never longer than until a point in time, and never through a Stop().
#pragma once

#include <chrono>

namespace emotion {

// An eventfd that wakes a poll(). Signals add up until Clear(). Any thread.
class WakeEvent {
 public:
  WakeEvent();
  ~WakeEvent();
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  void Signal();
  void Clear();
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct SocketWait {
  int socket = -1;   // -1: none
  short events = 0;  // POLLIN, POLLOUT
  int wake = -1;     // a WakeEvent that ends the wait; -1: none
  int stop;          // one that ends everything
};

enum class Waited { kSocket, kWoken, kTimeout, kStopped };

// A deadline in the past still looks once. Stop goes before the socket, the socket before a wake.
Waited WaitUntil(const SocketWait& wait, std::chrono::steady_clock::time_point deadline);

}  // namespace emotion

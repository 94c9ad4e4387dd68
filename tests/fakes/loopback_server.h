// What listens on a free port of this machine and gives each connection a thread of its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sync/mutex.h"

namespace emotion::testing {

inline sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// False when the other side is gone.
inline bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

class LoopbackServer {
 public:
  // Serves one connection and returns; the socket is closed then. Must end when reading from it
  // fails.
  using Serve = std::function<void(int fd)>;

  explicit LoopbackServer(Serve serve)
      : serve_(std::move(serve)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = LoopbackAddress(0);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(listener_, 128) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no port to listen on");
    }
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { Accept(); });
  }
  ~LoopbackServer() { Stop(); }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  int port() const { return port_; }

  // Connections taken so far.
  int connections() {
    MutexLock lock(mutex_);
    return accepted_;
  }

  // Ends every connection, and those to come: nobody listens any more.
  void Stop() {
    if (!accepting_.joinable()) return;
    shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    close(listener_);
    HangUp();
    for (std::thread& thread : serving_) thread.join();
  }

  // Ends the connections of now.
  void HangUp() {
    MutexLock lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }

 private:
  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      {
        MutexLock lock(mutex_);
        open_.push_back(fd);
        ++accepted_;
      }
      serving_.emplace_back([this, fd] {
        serve_(fd);
        MutexLock lock(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), fd));
        close(fd);
      });
    }
  }

  const Serve serve_;
  const int listener_;
  int port_ = 0;
  Mutex mutex_;
  std::vector<int> open_ GUARDED_BY(mutex_);
  int accepted_ GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> serving_;  // of the accepting thread until that has ended
  std::thread accepting_;
};

}  // namespace emotion::testing

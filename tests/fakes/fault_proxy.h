// A TCP proxy between a client and a Redis server that damages what the server says.
//
//   FaultProxy proxy(server.port());
//   proxy.Damage(FaultProxy::Fault::kSwallow);  // the next reply gets lost
//
// It counts replies, not packets: each fault strikes whole replies, PINGs of the client included.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fakes/loopback_server.h"
#include "tests/fakes/resp.h"

namespace emotion::testing {

class FaultProxy {
 public:
  enum class Fault {
    kNone,
    kGarbage,   // other bytes instead of the reply
    kTruncate,  // half of the reply, then the end of the connection
    kHalf,      // half of the reply, then nothing more
    kClose,     // the end of the connection instead of the reply
    kSwallow,   // nothing instead of the reply: the next one takes its place
    kRepeat,    // the reply, twice
  };

  explicit FaultProxy(int server_port)
      : server_port_(server_port), listener_([this](int fd) { Serve(fd); }) {}
  ~FaultProxy() { stall_ = false; }

  int port() const { return listener_.port(); }
  int connections() { return listener_.connections(); }

  // Strikes the reply that comes after `spared` others, once, on whichever connection.
  void Damage(Fault fault, int spared = 0) {
    spared_ = spared;
    fault_ = fault;
  }
  // Whether the last damage is done.
  bool damaged() const { return fault_ == Fault::kNone; }
  // From now on what the server says arrives so much later.
  void Delay(std::chrono::milliseconds delay) { delay_ = delay; }
  // While it lasts nothing that the server says arrives; connecting works.
  void Stall(bool stall) { stall_ = stall; }
  // Ends all connections; new ones work.
  void HangUp() { listener_.HangUp(); }

 private:
  void Serve(int client) {
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const sockaddr_in address = LoopbackAddress(server_port_);
    if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      Relay(client, server);
    }
    close(server);
  }

  void Relay(int client, int server) {
    std::string replies;
    std::array<char, 16384> bytes{};
    for (;;) {
      std::array<pollfd, 2> fds = {pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
      if (stall_) fds[1].fd = -1;
      if (poll(fds.data(), fds.size(), 2) < 0) return;
      if (fds[0].revents != 0) {
        const ssize_t size = recv(client, bytes.data(), bytes.size(), 0);
        if (size <= 0 || !SendAll(server, {bytes.data(), static_cast<size_t>(size)})) return;
      }
      if (fds[1].fd < 0 || fds[1].revents == 0) continue;
      const ssize_t size = recv(server, bytes.data(), bytes.size(), 0);
      if (size <= 0) return;
      replies.append(bytes.data(), static_cast<size_t>(size));
      std::this_thread::sleep_for(delay_.load());
      while (const auto reply = TakeRespMessage(replies)) {
        if (!Pass(client, *reply)) return;
      }
    }
  }

  // False ends the connection.
  bool Pass(int client, std::string_view reply) {
    Fault fault = fault_;
    if (fault == Fault::kNone || spared_.fetch_sub(1) > 0) return SendAll(client, reply);
    fault_ = Fault::kNone;
    switch (fault) {
      case Fault::kNone:
        return SendAll(client, reply);
      case Fault::kGarbage:
        return SendAll(client, "HTTP/1.1 400 Bad Request\r\n\r\n");
      case Fault::kTruncate:
        SendAll(client, reply.substr(0, reply.size() / 2));
        return false;
      case Fault::kHalf:
        return SendAll(client, reply.substr(0, reply.size() / 2));
      case Fault::kClose:
        return false;
      case Fault::kSwallow:
        return true;
      case Fault::kRepeat:
        return SendAll(client, reply) && SendAll(client, reply);
    }
    return false;
  }

  const int server_port_;
  std::atomic<Fault> fault_ = Fault::kNone;
  std::atomic<int> spared_ = 0;
  std::atomic<std::chrono::milliseconds> delay_ = std::chrono::milliseconds(0);
  std::atomic<bool> stall_ = false;
  LoopbackServer listener_;  // last: its threads use all of the above
};

}  // namespace emotion::testing

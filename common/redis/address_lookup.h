// Where a server is: the addresses of a host, or the path of a unix socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "absl/status/statusor.h"

namespace emotion {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// Blocks, for seconds when DNS is in trouble. Empty: not found.
std::vector<SocketAddress> LookUpHost(const std::string& host, uint16_t port);

// One thread at a time.
class AddressLookup {
 public:
  using LookUpFunction =
      std::function<std::vector<SocketAddress>(const std::string& host, uint16_t port)>;

  // A host that starts with / is a unix socket, and `port` is of no meaning.
  AddressLookup(std::string host, uint16_t port, LookUpFunction look_up = LookUpHost);
  // Does not wait for a lookup that hangs.
  ~AddressLookup();
  AddressLookup(const AddressLookup&) = delete;
  AddressLookup& operator=(const AddressLookup&) = delete;

  // Names are looked up anew at each call (servers move), on a thread of their own, for getaddrinfo
  // knows no time limit. What was known before when that takes too long or fails; UNAVAILABLE when
  // nothing was, or when `stop`, a file descriptor, becomes readable.
  absl::StatusOr<std::vector<SocketAddress>> Find(std::chrono::steady_clock::time_point deadline,
                                                  int stop);

 private:
  struct Shared;

  void StartLookUp();

  const std::string host_;
  const uint16_t port_;
  const LookUpFunction look_up_;
  std::vector<SocketAddress> known_;
  std::shared_ptr<Shared> shared_;  // with the thread of a lookup, which may outlive this object
};

}  // namespace emotion

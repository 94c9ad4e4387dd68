#include "common/redis/address_lookup.h"

#include <cstddef>
#include <cstring>
#include <thread>
#include <utility>

#include <netdb.h>
#include <sys/un.h>

#include "common/redis/socket_wait.h"
#include "common/sync/mutex.h"
#include "fmt/format.h"

namespace emotion {
namespace {

std::vector<SocketAddress> Addresses(const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return {};
  std::vector<SocketAddress> found;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    SocketAddress& address = found.emplace_back();
    address.size = info->ai_addrlen;
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
  }
  freeaddrinfo(list);
  return found;
}

// Empty when the path is too long for the system.
std::vector<SocketAddress> UnixAddress(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  SocketAddress found;
  found.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  std::memcpy(&found.storage, &address, found.size);
  return {found};
}

}  // namespace

std::vector<SocketAddress> LookUpHost(const std::string& host, uint16_t port) {
  return Addresses(host, port, AI_ADDRCONFIG);
}

struct AddressLookup::Shared {
  WakeEvent done;
  Mutex mutex;
  bool running GUARDED_BY(mutex) = false;
  std::vector<SocketAddress> found GUARDED_BY(mutex);
};

AddressLookup::AddressLookup(std::string host, uint16_t port, LookUpFunction look_up)
    : host_(std::move(host)),
      port_(port),
      look_up_(std::move(look_up)),
      shared_(std::make_shared<Shared>()) {
  known_ = host_.starts_with('/') ? UnixAddress(host_) : Addresses(host_, port_, AI_NUMERICHOST);
  if (!known_.empty() || host_.starts_with('/')) shared_ = nullptr;  // there is no name to look up
}

AddressLookup::~AddressLookup() = default;

absl::StatusOr<std::vector<SocketAddress>> AddressLookup::Find(
    std::chrono::steady_clock::time_point deadline, int stop) {
  if (shared_ != nullptr) {
    StartLookUp();
    const SocketWait wait = {.wake = shared_->done.fd(), .stop = stop};
    if (WaitUntil(wait, deadline) == Waited::kWoken) {
      shared_->done.Clear();
      MutexLock lock(shared_->mutex);
      if (!shared_->found.empty()) known_ = std::exchange(shared_->found, {});
    }
  }
  if (known_.empty()) return absl::UnavailableError(fmt::format("no address of {}", host_));
  return known_;
}

void AddressLookup::StartLookUp() {
  {
    MutexLock lock(shared_->mutex);
    if (shared_->running) return;  // the last one hangs
    shared_->running = true;
    shared_->done.Clear();  // of one that came too late
  }
  std::thread([shared = shared_, look_up = look_up_, host = host_, port = port_] {
    std::vector<SocketAddress> found = look_up(host, port);
    {
      MutexLock lock(shared->mutex);
      shared->found = std::move(found);
      shared->running = false;
    }
    shared->done.Signal();
  }).detach();
}

}  // namespace emotion

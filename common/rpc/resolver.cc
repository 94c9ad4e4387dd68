#include "common/rpc/resolver.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include <netdb.h>
#include <sys/socket.h>

#include "common/sync/mutex.h"
#include "fmt/format.h"

namespace emotion {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLeastPause{500};

std::string NumericAddress(const addrinfo& info) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(info.ai_addr, info.ai_addrlen, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  return info.ai_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                    : fmt::format("{}:{}", host, port);
}

}  // namespace

std::vector<ResolvedAddress> LookUp(const std::string& target) {
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos || colon == 0) return {};
  std::string host = target.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (getaddrinfo(host.c_str(), target.c_str() + colon + 1, &hints, &list) != 0) return {};
  // One that listens on both families is one replica: IPv4 where there is any.
  bool any_ipv4 = false;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    any_ipv4 = any_ipv4 || info->ai_family == AF_INET;
  }
  std::vector<std::string> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    if (any_ipv4 && info->ai_family != AF_INET) continue;
    addresses.push_back(NumericAddress(*info));
  }
  freeaddrinfo(list);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  std::vector<ResolvedAddress> found;
  for (std::string& address : addresses) {
    if (!address.empty()) found.push_back({std::move(address), host});
  }
  return found;
}

// Shared with the thread, which outlives the Resolver when a lookup hangs.
struct Resolver::State {
  std::vector<std::string> targets;
  std::chrono::milliseconds period;
  LookUpFunction look_up;

  Mutex mutex;
  CondVar changed;
  bool stopping GUARDED_BY(mutex) = false;
  bool kicked GUARDED_BY(mutex) = false;
  // Held while `found` runs, so that the destructor waits for it, and not for the lookup.
  Mutex found_mutex;
  Found found GUARDED_BY(found_mutex);
};

Resolver::Resolver(std::vector<std::string> targets, std::chrono::milliseconds period, Found found,
                   LookUpFunction look_up)
    : state_(std::make_shared<State>()) {
  state_->targets = std::move(targets);
  state_->period = period;
  state_->look_up = std::move(look_up);
  {
    MutexLock lock(state_->found_mutex);
    state_->found = std::move(found);
  }
  // Detached: getaddrinfo cannot be interrupted, and a stop must not wait for DNS.
  std::thread([state = state_] { Run(state); }).detach();
}

Resolver::~Resolver() {
  {
    MutexLock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.NotifyAll();
  }
  MutexLock lock(state_->found_mutex);
  state_->found = nullptr;
}

void Resolver::Kick() {
  MutexLock lock(state_->mutex);
  state_->kicked = true;
  state_->changed.NotifyAll();
}

void Resolver::Run(const std::shared_ptr<State>& state) {
  std::mt19937 generator{std::random_device{}()};
  std::uniform_real_distribution<double> jitter(0.8, 1.2);
  std::map<std::string, std::vector<ResolvedAddress>> known;
  while (true) {
    for (const std::string& target : state->targets) {
      std::vector<ResolvedAddress> addresses = state->look_up(target);
      if (!addresses.empty()) known[target] = std::move(addresses);
    }
    std::vector<ResolvedAddress> all;
    for (const auto& entry : known) all.insert(all.end(), entry.second.begin(), entry.second.end());
    {
      MutexLock lock(state->found_mutex);
      if (state->found) state->found(std::move(all));
    }
    const auto now = Clock::now();
    const auto pause =
        std::chrono::duration_cast<Clock::duration>(state->period * jitter(generator));
    MutexLock lock(state->mutex);
    while (!state->stopping) {
      const auto until =
          now + (state->kicked ? std::min<Clock::duration>(kLeastPause, pause) : pause);
      if (Clock::now() >= until) break;
      state->changed.WaitUntil(state->mutex, until);
    }
    if (state->stopping) return;
    state->kicked = false;
  }
}

}  // namespace emotion

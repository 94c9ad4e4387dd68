#include "gateway/live/live_hub.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "gateway/live/live_session.h"

namespace emotion::gateway {
namespace {

uint64_t UnixMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

LiveOptions WithClock(LiveOptions options) {
  if (!options.now_us) options.now_us = UnixMicros;
  return options;
}

}  // namespace

LiveHub::LiveHub(LiveBackend& backend, const Identity& identity, Metrics& metrics,
                 LiveOptions options)
    : backend_(backend),
      identity_(identity),
      metrics_(metrics),
      options_(WithClock(std::move(options))),
      forgetter_(backend, options_.forget_after, options_.now_us) {}

std::shared_ptr<WebSocketHandler> LiveHub::Open(const Request& request,
                                                std::weak_ptr<WebSocket> socket) {
  auto session = std::make_shared<LiveSession>(*this, request, std::move(socket));
  MutexLock lock(mutex_);
  sessions_[session.get()] = session;
  return session;
}

void LiveHub::Left(const LiveSession* session) {
  MutexLock lock(mutex_);
  sessions_.erase(session);
}

void LiveHub::ModelMayHaveChanged() {
  const auto model = std::make_shared<const std::string>(backend_.State().model);
  if (model->empty()) return;  // nobody is connected: what was told last stays true
  std::vector<std::shared_ptr<LiveSession>> sessions;
  {
    MutexLock lock(mutex_);
    sessions.reserve(sessions_.size());
    for (const auto& [key, weak] : sessions_) {
      if (auto session = weak.lock()) sessions.push_back(std::move(session));
    }
  }
  for (const auto& session : sessions) session->PostModel(model);
}

// Spread, so that those who are left do not meet them all at once.
std::chrono::milliseconds LiveHub::ReconnectAfter() const {
  thread_local std::mt19937_64 random(std::random_device{}());
  const int64_t most = std::max<int64_t>(reconnect_within_ms_, 100);
  return std::chrono::milliseconds(std::uniform_int_distribution<int64_t>(most / 10, most)(random));
}

}  // namespace emotion::gateway

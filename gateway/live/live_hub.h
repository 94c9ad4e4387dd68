// What all live sessions of a gateway share: the way to the classifier services, the keys, the
// open sessions, and the news that concern everyone (another model, a drain). Safe from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "absl/status/status.h"
#include "common/observe/metrics.h"
#include "common/sync/mutex.h"
#include "gateway/http/message.h"
#include "gateway/http/web_socket.h"
#include "gateway/live/live_backend.h"
#include "gateway/live/session_forgetter.h"
#include "gateway/predict_input.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {

class LiveSession;

struct LiveOptions {
  InputLimits input = {};
  size_t max_unanswered = 64;  // frames of one socket
  // How long a closed session may stay away before it is forgotten.
  std::chrono::milliseconds forget_after{30'000};
  // Whether frames are taken now (the models may still be loading); unset: always.
  std::function<absl::Status()> admit = {};
  std::function<uint64_t()> now_us = {};  // Unix time in microseconds; unset: the clock
};

class LiveHub {
 public:
  // Borrows all three.
  LiveHub(LiveBackend& backend, const Identity& identity, Metrics& metrics, LiveOptions options);

  // A socket whose handshake is done. `request` is not kept.
  std::shared_ptr<WebSocketHandler> Open(const Request& request, std::weak_ptr<WebSocket> socket);

  // Tells every session whose model is another one now.
  void ModelMayHaveChanged();

  // Sockets that are told to go come back spread over `within`.
  void BeginDrain(std::chrono::milliseconds within) { reconnect_within_ms_ = within.count(); }
  // When a socket that is told to go should come back.
  std::chrono::milliseconds ReconnectAfter() const;

  // After the last socket closed: forgets what is to be forgotten, until `deadline`.
  void Stop(std::chrono::steady_clock::time_point deadline) { forgetter_.Stop(deadline); }

  // For the sessions.
  LiveBackend& backend() { return backend_; }
  const Identity& identity() const { return identity_; }
  Metrics& metrics() { return metrics_; }
  SessionForgetter& forgetter() { return forgetter_; }
  const LiveOptions& options() const { return options_; }
  void Left(const LiveSession* session);

 private:
  LiveBackend& backend_;
  const Identity& identity_;
  Metrics& metrics_;
  const LiveOptions options_;
  std::atomic<int64_t> reconnect_within_ms_{5000};
  Mutex mutex_;
  std::unordered_map<const LiveSession*, std::weak_ptr<LiveSession>> sessions_ GUARDED_BY(mutex_);
  SessionForgetter forgetter_;
};

}  // namespace emotion::gateway

// A tiny HTTP/1.1 server of /metrics, /health/live and /health/ready, for processes that have no
// gateway. GET and HEAD only; at most 16 connections, 5 s for a request.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/observe/metrics.h"

namespace emotion {

class AdminServer {
 public:
  struct Options {
    std::string listen;           // "127.0.0.1:9101"; port 0: any free one
    std::function<bool()> ready;  // for /health/ready: 200 or 503; must not block
  };

  // Serves on a thread of its own until destroyed. `metrics` is borrowed. INVALID_ARGUMENT for an
  // address that is none, UNAVAILABLE when it cannot be bound.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(Options options,
                                                            const Metrics& metrics);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  int port() const;

 private:
  class Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion

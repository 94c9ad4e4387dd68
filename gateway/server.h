// The gateway as one object: HTTP on one side, classifier_service on the other.
//
// Start opens the port at once; readiness is this process' own affair, so frames that come before a
// classifier replica is there are answered UNAVAILABLE. Stopping has an order: BeginDrain
// (readiness says no, answers close their connections, sockets are told), Stop (no new connections,
// in-flight requests and frames are answered, sockets close, then the streams to the classifier
// close). The in-process channel of the options must outlive Stop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/observe/metrics.h"
#include "common/program/running_servers.h"
#include "gateway/options.h"

namespace emotion::gateway {

class GatewayServer final : public RunningServers {
 public:
  struct Deps {
    Metrics& metrics;                  // borrowed
    std::string version = "";          // of the product, for /health
    std::function<bool()> ready = {};  // more conditions of readiness, such as loaded models
  };

  // Errors name the setting or the address.
  static absl::StatusOr<std::unique_ptr<GatewayServer>> Start(GatewayOptions options, Deps deps);

  ~GatewayServer() override;  // as Stop(now)

  int port() const;
  bool ready() const override;
  std::string Addresses() const override;
  size_t connections() const;  // open ones

  // Sockets are told to come back elsewhere, spread over `stop_sending_within`.
  void BeginDrain(std::chrono::milliseconds stop_sending_within) override;
  void BeginDrain() { BeginDrain(std::chrono::milliseconds(5000)); }
  void Stop(std::chrono::steady_clock::time_point deadline) override;

 private:
  class Impl;
  explicit GatewayServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::gateway

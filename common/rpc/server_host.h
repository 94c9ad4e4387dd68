// One gRPC server: its port, health, reflection, limits, and the in-process channel.
//
// Threads: all functions are safe from any thread; the destructor shuts down at once. In-process
// channels must not be used after Shutdown (gRPC 1.51 crashes): clients close before servers.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include "absl/status/statusor.h"
#include "common/rpc/channel.h"

namespace emotion {

class ServerHost {
 public:
  struct Options {
    std::string listen;  // "127.0.0.1:50051"; port 0: any free one; empty: in-process only
    std::vector<grpc::Service*> services;  // borrowed; must outlive the host
    std::vector<std::string> names;        // for health: "emotion.v1.EmbeddingService"
    TlsFiles tls = {};
  };

  // Health says NOT_SERVING until SetServing(true). UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<ServerHost>> Start(Options options);

  ~ServerHost();
  ServerHost(const ServerHost&) = delete;
  ServerHost& operator=(const ServerHost&) = delete;

  int port() const { return port_; }  // 0 without a port
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Health of all names and of "" (the whole server).
  void SetServing(bool serving);

  // Takes no new calls, cancels at `deadline` what still runs, and returns when every handler is
  // done. Safe to call twice.
  void Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  ServerHost(std::vector<std::string> names, std::unique_ptr<grpc::Server> server, int port);

  const std::vector<std::string> names_;
  const std::unique_ptr<grpc::Server> server_;
  const int port_;
};

}  // namespace emotion

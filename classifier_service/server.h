// The classifier service as one object: heads, the way to the encoder, the gRPC server.
//
// Start loads the heads and opens the port; from then on it serves. Whether an encoder can be
// reached is no part of its readiness: frames are then answered NO_REPLICA.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"
#include "classifier_service/options.h"
#include "common/observe/metrics.h"
#include "common/program/running_servers.h"
#include "common/rpc/frame_pool.h"

namespace emotion::classifier {

class ClassifierServer final : public RunningServers {
 public:
  // Borrows `metrics`. Errors: the heads' (see heads/head_bank.h), or UNAVAILABLE when the address
  // cannot be bound.
  static absl::StatusOr<std::unique_ptr<ClassifierServer>> Start(const ClassifierOptions& options,
                                                                 Metrics& metrics);
  ~ClassifierServer() override;  // stops at once
  ClassifierServer(const ClassifierServer&) = delete;
  ClassifierServer& operator=(const ClassifierServer&) = delete;

  int port() const;
  // For a client in this process: unary calls, and streams. Not to be used after Stop, before which
  // the client closes.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  LocalStreamMaker<PredictHop> LocalStreams();
  bool ready() const override;
  std::string Addresses() const override;

  // Health says NOT_SERVING and every stream is told to send no more within `stop_sending_within`.
  void BeginDrain(std::chrono::milliseconds stop_sending_within) override;
  // Before the embedding server's Stop, where both live in one process.
  void Stop(std::chrono::steady_clock::time_point deadline) override;

 private:
  class Impl;
  explicit ClassifierServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::classifier

// The embedding service as one object: model, cache, pipeline, gRPC server.
//
// Start opens the port at once; the model is loaded on a thread of its own, and until it has passed
// its self-test health says NOT_SERVING and frames are answered UNAVAILABLE (LOADING). Until its
// Redis answered or failed to, too, so that who is ready says how its shared cache is. Stopping
// goes the other way round: BeginDrain (health, streams), Stop (no new work, the accepted is
// answered).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"
#include "common/observe/metrics.h"
#include "common/program/running_servers.h"
#include "common/rpc/frame_pool.h"
#include "embedding_service/loaded_model.h"
#include "embedding_service/options.h"

namespace emotion::embedding {

class EmbeddingServer final : public RunningServers {
 public:
  struct Deps {
    Metrics& metrics;  // borrowed
    ModelLoader load;
    // Called once on the loading thread, when loading ended: OK, ready to serve; else the server
    // never will be and its process should end. Not called when the server was stopped before. May
    // be empty. Must not call Stop.
    std::function<void(const absl::Status&)> loaded;
  };

  // UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<EmbeddingServer>> Start(const EmbeddingOptions& options,
                                                                Deps deps);
  ~EmbeddingServer() override;  // stops at once
  EmbeddingServer(const EmbeddingServer&) = delete;
  EmbeddingServer& operator=(const EmbeddingServer&) = delete;

  int port() const;
  // For a client in this process: unary calls, and streams. Not to be used after Stop, before which
  // the client closes.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  LocalStreamMaker<EmbedHop> LocalStreams();
  bool ready() const override;
  std::string Addresses() const override;

  // What is held now; all 0 when every frame was answered and its work has ended.
  struct Held {
    size_t frames = 0;
    size_t flights = 0;
  };
  Held held() const;

  // Health says NOT_SERVING and every stream is told to send no more within `stop_sending_within`.
  // Unary calls are still taken, until Stop.
  void BeginDrain(std::chrono::milliseconds stop_sending_within) override;

  // Takes no new frames, answers the accepted ones until `deadline`, then ends. Waits for a model
  // that is still being loaded. Safe to call twice.
  void Stop(std::chrono::steady_clock::time_point deadline) override;

 private:
  class Impl;
  explicit EmbeddingServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::embedding

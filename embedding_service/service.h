// EmbeddingService over gRPC's callback API: each handler checks, calls the domain object, maps the
// answer and counts; no algorithm lives here.
#pragma once

#include <chrono>

#include "common/observe/metrics.h"
#include "common/rpc/call_metrics.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "embedding_service/cache/embedding_cache.h"
#include "embedding_service/embed_backend.h"
#include "emotion/v1/embedding.grpc.pb.h"

namespace emotion::embedding {

class Service final : public v1::EmbeddingService::CallbackService {
 public:
  // Borrows everything; all must outlive the server that this is registered with.
  Service(EmbedBackend& backend, EmbeddingCache& cache, size_t window_frames, Metrics& metrics);

  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override;
  // UNAVAILABLE (LOADING) until the backend is open: a Welcome names the model.
  grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* EmbedStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetEmbeddingModel(grpc::CallbackServerContext* context,
                                              const v1::GetEmbeddingModelRequest* request,
                                              v1::GetEmbeddingModelResponse* response) override;
  // Also while the model is loading and while draining: forgetting is never refused.
  grpc::ServerUnaryReactor* DeleteEmbeddingSession(
      grpc::CallbackServerContext* context, const v1::DeleteEmbeddingSessionRequest* request,
      v1::DeleteEmbeddingSessionResponse* response) override;

  // The handler of one stream, for a session of gRPC or of this process.
  std::shared_ptr<ServerSessionHandler<v1::EmbedStreamRequest, v1::EmbedStreamResponse>>
  NewStream();

  FrameServer<EmbedHop>& streams() { return streams_; }

 private:
  EmbedBackend& backend_;
  EmbeddingCache& cache_;
  Metrics& metrics_;
  CountingBackend<v1::EmbedResult> counting_;
  FrameServer<EmbedHop> streams_;
};

}  // namespace emotion::embedding

// ClassifierService over gRPC's callback API: each handler checks, calls the domain object and maps
// the answer; no algorithm lives here.
#pragma once

#include <cstddef>

#include "classifier_service/embedding_client.h"
#include "classifier_service/model_card.h"
#include "classifier_service/predictor.h"
#include "common/observe/metrics.h"
#include "common/rpc/call_metrics.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "emotion/v1/classifier.grpc.pb.h"

namespace emotion::classifier {

class Service final : public v1::ClassifierService::CallbackService {
 public:
  struct Limits {
    size_t max_batch_images;
    size_t window_frames;  // of one stream
  };

  // Borrows everything; all must outlive the server that this is registered with.
  Service(Limits limits, Predictor& predictor, EmbeddingClient& embeddings, const ModelCard& card,
          Metrics& metrics);

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const v1::PredictRequest* request,
                                    v1::PredictResponse* response) override;
  grpc::ServerUnaryReactor* PredictBatch(grpc::CallbackServerContext* context,
                                         const v1::PredictBatchRequest* request,
                                         v1::PredictBatchResponse* response) override;
  grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>* PredictStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* context,
                                          const v1::DeleteSessionRequest* request,
                                          v1::DeleteSessionResponse* response) override;

  // The handler of one stream, for a session of gRPC or of this process.
  std::shared_ptr<ServerSessionHandler<v1::PredictStreamRequest, v1::PredictStreamResponse>>
  NewStream();

  FrameServer<PredictHop>& streams() { return streams_; }

 private:
  const Limits limits_;
  Predictor& predictor_;
  EmbeddingClient& embeddings_;
  const ModelCard& card_;
  Metrics& metrics_;
  CountingBackend<v1::PredictResult> counting_;
  FrameServer<PredictHop> streams_;
};

}  // namespace emotion::classifier

#include "classifier_service/service.h"

#include <chrono>
#include <utility>

#include "classifier_service/batch_call.h"
#include "common/error/error.h"
#include "common/rpc/frame_call.h"
#include "common/rpc/status.h"
#include "fmt/format.h"

namespace emotion::classifier {
namespace {

constexpr size_t kSessionKeyBytes = 16;

// Counts a call when it ends. Copyable, so that it can live in callbacks.
class CallMetrics {
 public:
  CallMetrics(Metrics& metrics, std::string_view method)
      : metrics_(&metrics), method_(method), start_(std::chrono::steady_clock::now()) {}

  void operator()(const grpc::Status& status) const {
    metrics_->Request("classifier", method_,
                      CodeName(static_cast<absl::StatusCode>(status.error_code())),
                      std::chrono::steady_clock::now() - start_);
  }

 private:
  Metrics* metrics_;
  std::string_view method_;  // a constant
  std::chrono::steady_clock::time_point start_;
};

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const CallMetrics& metrics, const absl::Status& status) {
  const grpc::Status mapped = ToGrpcStatus(status);
  metrics(mapped);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(mapped);
  return reactor;
}

uint64_t NowMicroseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Service::Service(Limits limits, Predictor& predictor, EmbeddingClient& embeddings,
                 const ModelCard& card, Metrics& metrics)
    : limits_(limits),
      predictor_(predictor),
      embeddings_(embeddings),
      card_(card),
      metrics_(metrics),
      streams_(predictor, limits.window_frames) {}

grpc::ServerUnaryReactor* Service::Predict(grpc::CallbackServerContext* context,
                                           const v1::PredictRequest* request,
                                           v1::PredictResponse* response) {
  return FrameCall<v1::PredictResult>::Start(
      predictor_, context, request->frame(),
      [response](v1::PredictResult result) { *response->mutable_result() = std::move(result); },
      CallMetrics(metrics_, "Predict"));
}

grpc::ServerUnaryReactor* Service::PredictBatch(grpc::CallbackServerContext* context,
                                                const v1::PredictBatchRequest* request,
                                                v1::PredictBatchResponse* response) {
  const CallMetrics metrics(metrics_, "PredictBatch");
  const absl::Status sound = CheckBatch(*request, limits_.max_batch_images);
  if (!sound.ok()) return FinishNow(context, metrics, sound);
  return BatchCall::Start(predictor_, context, *request, response, metrics);
}

grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>*
Service::PredictStream(grpc::CallbackServerContext* context) {
  return StartServerSession<v1::PredictStreamRequest, v1::PredictStreamResponse>(
      context, streams_.NewStream());
}

grpc::ServerUnaryReactor* Service::Classify(grpc::CallbackServerContext* context,
                                            const v1::ClassifyRequest* request,
                                            v1::ClassifyResponse* response) {
  const CallMetrics metrics(metrics_, "Classify");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  predictor_.Classify(request->embedding(), [=](absl::StatusOr<v1::ClassifyResponse> classified) {
    if (classified.ok()) *response = *std::move(classified);
    const grpc::Status status = ToGrpcStatus(classified.status());
    metrics(status);
    reactor->Finish(status);
  });
  return reactor;
}

grpc::ServerUnaryReactor* Service::GetModel(grpc::CallbackServerContext* context,
                                            const v1::GetModelRequest*,
                                            v1::GetModelResponse* response) {
  const CallMetrics metrics(metrics_, "GetModel");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  embeddings_.GetModel([=, this](absl::StatusOr<v1::GetEmbeddingModelResponse> encoder) {
    if (encoder.ok()) *response = card_.With(*std::move(encoder));
    const grpc::Status status = ToGrpcStatus(encoder.status());
    metrics(status);
    reactor->Finish(status);
  });
  return reactor;
}

grpc::ServerUnaryReactor* Service::GetStatus(grpc::CallbackServerContext* context,
                                             const v1::GetStatusRequest*,
                                             v1::GetStatusResponse* response) {
  const PoolState state = embeddings_.State();
  response->set_replicas_ready(static_cast<uint32_t>(state.ready));
  response->set_replicas_total(static_cast<uint32_t>(state.total));
  response->set_replicas_model_mismatch(static_cast<uint32_t>(state.mismatch));
  response->set_shared_cache(state.shared_cache);
  return FinishNow(context, CallMetrics(metrics_, "GetStatus"), absl::OkStatus());
}

grpc::ServerUnaryReactor* Service::DeleteSession(grpc::CallbackServerContext* context,
                                                 const v1::DeleteSessionRequest* request,
                                                 v1::DeleteSessionResponse*) {
  const CallMetrics metrics(metrics_, "DeleteSession");
  if (request->session_key().size() != kSessionKeyBytes) {
    return FinishNow(
        context, metrics,
        FieldError("session_key", fmt::format("must have {} bytes; has {}", kSessionKeyBytes,
                                              request->session_key().size())));
  }
  v1::DeleteEmbeddingSessionRequest forwarded;
  forwarded.set_session_key(request->session_key());
  forwarded.set_deleted_at_us(request->deleted_at_us() == 0 ? NowMicroseconds()
                                                            : request->deleted_at_us());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  embeddings_.DeleteSession(forwarded, [=](const absl::Status& deleted) {
    const grpc::Status status = ToGrpcStatus(deleted);
    metrics(status);
    reactor->Finish(status);
  });
  return reactor;
}

}  // namespace emotion::classifier

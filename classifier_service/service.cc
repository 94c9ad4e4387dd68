#include "classifier_service/service.h"

#include <chrono>
#include <utility>

#include "classifier_service/batch_call.h"
#include "common/rpc/call_metrics.h"
#include "common/rpc/frame_call.h"
#include "common/rpc/frame_limits.h"
#include "common/rpc/status.h"

namespace emotion::classifier {
namespace {

constexpr std::string_view kService = "classifier";  // in metrics

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
      counting_(predictor, metrics, kService, "PredictStream"),
      streams_(counting_, limits.window_frames) {}

grpc::ServerUnaryReactor* Service::Predict(grpc::CallbackServerContext* context,
                                           const v1::PredictRequest* request,
                                           v1::PredictResponse* response) {
  return FrameCall<v1::PredictResult>::Start(
      predictor_, context, request->frame(),
      [response](v1::PredictResult result) { *response->mutable_result() = std::move(result); },
      CallMetrics(metrics_, kService, "Predict"));
}

grpc::ServerUnaryReactor* Service::PredictBatch(grpc::CallbackServerContext* context,
                                                const v1::PredictBatchRequest* request,
                                                v1::PredictBatchResponse* response) {
  const CallMetrics metrics(metrics_, kService, "PredictBatch");
  const absl::Status sound = CheckBatch(*request, limits_.max_batch_images);
  if (!sound.ok()) return FinishNow(context, metrics, sound);
  return BatchCall::Start(predictor_, context, *request, response, metrics);
}

std::shared_ptr<ServerSessionHandler<v1::PredictStreamRequest, v1::PredictStreamResponse>>
Service::NewStream() {
  return CountedStream<v1::PredictStreamRequest, v1::PredictStreamResponse>(streams_.NewStream(),
                                                                            metrics_);
}

grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>*
Service::PredictStream(grpc::CallbackServerContext* context) {
  return StartServerSession<v1::PredictStreamRequest, v1::PredictStreamResponse>(context,
                                                                                 NewStream());
}

grpc::ServerUnaryReactor* Service::Classify(grpc::CallbackServerContext* context,
                                            const v1::ClassifyRequest* request,
                                            v1::ClassifyResponse* response) {
  const CallMetrics metrics(metrics_, kService, "Classify");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  predictor_.Classify(request->embedding(), [=](absl::StatusOr<v1::ClassifyResponse> classified) {
    const grpc::Status status = ToGrpcStatus(classified.status());
    if (classified.ok()) *response = *std::move(classified);
    metrics(status);
    reactor->Finish(status);
  });
  return reactor;
}

grpc::ServerUnaryReactor* Service::GetModel(grpc::CallbackServerContext* context,
                                            const v1::GetModelRequest*,
                                            v1::GetModelResponse* response) {
  const CallMetrics metrics(metrics_, kService, "GetModel");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  embeddings_.GetModel([=, this](absl::StatusOr<v1::GetEmbeddingModelResponse> encoder) {
    const grpc::Status status = ToGrpcStatus(encoder.status());
    if (encoder.ok()) *response = card_.With(*std::move(encoder));
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
  return FinishNow(context, CallMetrics(metrics_, kService, "GetStatus"), absl::OkStatus());
}

grpc::ServerUnaryReactor* Service::DeleteSession(grpc::CallbackServerContext* context,
                                                 const v1::DeleteSessionRequest* request,
                                                 v1::DeleteSessionResponse*) {
  const CallMetrics metrics(metrics_, kService, "DeleteSession");
  if (absl::Status status = CheckSessionKey(request->session_key()); !status.ok()) {
    return FinishNow(context, metrics, status);
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

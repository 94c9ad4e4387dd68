#include "embedding_service/service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"
#include "common/rpc/call_metrics.h"
#include "common/rpc/frame_call.h"
#include "common/rpc/frame_limits.h"
#include "common/rpc/status.h"
#include "embedding_service/embed_result.h"

namespace emotion::embedding {
namespace {

using StreamRequest = v1::EmbedStreamRequest;
using StreamResponse = v1::EmbedStreamResponse;
using StreamHandler = ServerSessionHandler<StreamRequest, StreamResponse>;

constexpr std::string_view kService = "embedding";  // in metrics

absl::Status Loading() {
  return Error(Reason::kLoading, "the model is being loaded; try again soon");
}

// A stream that is ended as soon as it is opened.
class RefusedStream final : public StreamHandler {
 public:
  explicit RefusedStream(const absl::Status& status) : status_(ToGrpcStatus(status)) {}
  void OnOpen(std::shared_ptr<ServerSession<StreamRequest, StreamResponse>> session) override {
    session->Finish(status_);
  }
  void OnMessage(StreamRequest&&) override {}
  void OnHalfClose() override {}
  void OnClosed() override {}

 private:
  const grpc::Status status_;
};

int64_t DeletedAt(uint64_t deleted_at_us) {
  if (deleted_at_us != 0) {
    return static_cast<int64_t>(std::min<uint64_t>(deleted_at_us, INT64_MAX));
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Service::Service(EmbedBackend& backend, EmbeddingCache& cache, size_t window_frames,
                 Metrics& metrics)
    : backend_(backend),
      cache_(cache),
      metrics_(metrics),
      counting_(backend, metrics, kService, "EmbedStream"),
      streams_(counting_, window_frames) {}

grpc::ServerUnaryReactor* Service::Embed(grpc::CallbackServerContext* context,
                                         const v1::EmbedRequest* request,
                                         v1::EmbedResponse* response) {
  const CallMetrics metrics(metrics_, kService, "Embed");
  const v1::DType dtype = request->dtype();
  if (!v1::DType_IsValid(dtype)) {
    return FinishNow(context, metrics,
                     FieldError("dtype", fmt::format("has no value {} in this release",
                                                     static_cast<int>(dtype))));
  }
  return FrameCall<v1::EmbedResult>::Start(
      backend_, context, request->frame(),
      [response, dtype, id = request->frame().frame_id()](v1::EmbedResult result) {
        if (dtype == v1::D_TYPE_F32) WidenToFp32(*result.mutable_embedding());
        result.set_frame_id(id);
        *response->mutable_result() = std::move(result);
      },
      metrics);
}

std::shared_ptr<StreamHandler> Service::NewStream() {
  std::shared_ptr<StreamHandler> handler;
  if (backend_.open()) {
    handler = streams_.NewStream();
  } else {
    handler = std::make_shared<RefusedStream>(Loading());
  }
  return CountedStream(std::move(handler), metrics_);
}

grpc::ServerBidiReactor<StreamRequest, StreamResponse>* Service::EmbedStream(
    grpc::CallbackServerContext* context) {
  return StartServerSession<StreamRequest, StreamResponse>(context, NewStream());
}

grpc::ServerUnaryReactor* Service::GetEmbeddingModel(grpc::CallbackServerContext* context,
                                                     const v1::GetEmbeddingModelRequest*,
                                                     v1::GetEmbeddingModelResponse* response) {
  const CallMetrics metrics(metrics_, kService, "GetEmbeddingModel");
  if (!backend_.open()) return FinishNow(context, metrics, Loading());
  *response = backend_.MakeModelCard();
  return FinishNow(context, metrics, absl::OkStatus());
}

grpc::ServerUnaryReactor* Service::DeleteEmbeddingSession(
    grpc::CallbackServerContext* context, const v1::DeleteEmbeddingSessionRequest* request,
    v1::DeleteEmbeddingSessionResponse*) {
  const CallMetrics metrics(metrics_, kService, "DeleteEmbeddingSession");
  const std::string& session = request->session_key();
  if (absl::Status status = CheckSessionKey(session); !status.ok()) {
    return FinishNow(context, metrics, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  cache_.Forget(session, DeletedAt(request->deleted_at_us()), [=](const absl::Status& status) {
    const grpc::Status mapped = ToGrpcStatus(status);
    metrics(mapped);
    reactor->Finish(mapped);
  });
  return reactor;
}

}  // namespace emotion::embedding

#include "classifier_service/embedding_client.h"

#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "fmt/format.h"

namespace emotion::classifier {
namespace {

constexpr std::chrono::milliseconds kModelTimeout{1000};
constexpr std::chrono::milliseconds kDeleteTimeout{3000};

}  // namespace

EmbeddingClient::EmbeddingClient(const ClassifierOptions& options, ModelBinding& binding,
                                 Metrics& metrics, std::function<void()> on_model_changed)
    : binding_(binding), on_model_changed_(std::move(on_model_changed)) {
  FramePoolOptions pool;
  pool.targets = options.embedding_targets;
  pool.in_process = options.embedding_in_process;
  pool.tls = options.tls;
  pool.client_name = "classifier_service";
  pool.judge = [this](const v1::Welcome& welcome) { return Judge(welcome); };
  pool.on_change = [this] { OnPoolChanged(); };
  pool.default_timeout = options.default_timeout;
  pool.metrics = &metrics;
  pool_ = std::make_unique<FramePool<EmbedHop>>(std::move(pool), options.embedding_streams);
  standing_pool_ = pool_.get();
  OnPoolChanged();  // what changed while the pool was being made
}

EmbeddingClient::~EmbeddingClient() { Close(); }

Verdict EmbeddingClient::Judge(const v1::Welcome& welcome) {
  const auto fingerprint = FingerprintFrom(welcome.model_fingerprint());
  const FramePool<EmbedHop>* pool = standing_pool_;
  const bool bound_is_gone = pool != nullptr && pool->State().ready == 0;
  const auto verdict = fingerprint ? binding_.Judge(*fingerprint, welcome.dim(), bound_is_gone)
                                   : ModelBinding::Verdict::kMismatch;
  if (verdict == ModelBinding::Verdict::kMismatch) {
    LogWarning("an embedding service has another model than the heads",
               {{"replica", welcome.replica_id()},
                {"dim", welcome.dim()},
                {"fingerprint", fingerprint ? Hex(*fingerprint) : std::string("none")}});
    return Verdict::kMismatch;
  }
  if (verdict == ModelBinding::Verdict::kMoved) {
    LogWarning("the heads moved to another encoder", {{"model", binding_.model()}});
    on_model_changed_();
  }
  return Verdict::kUse;
}

void EmbeddingClient::OnPoolChanged() {
  FramePool<EmbedHop>* pool = standing_pool_;
  if (pool == nullptr || binding_.stated()) return;
  // Heads that name no encoder may move once the last replica of theirs is gone.
  const PoolState state = pool->State();
  if (state.ready == 0 && state.mismatch > 0) pool->Rejudge();
}

void EmbeddingClient::GetModel(ModelDone done) {
  const auto start = [](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                        const v1::GetEmbeddingModelRequest* request,
                        v1::GetEmbeddingModelResponse* response, auto callback) {
    v1::EmbeddingService::NewStub(channel)->async()->GetEmbeddingModel(context, request, response,
                                                                       std::move(callback));
  };
  calls_.Call<v1::GetEmbeddingModelRequest, v1::GetEmbeddingModelResponse>(
      pool_->Channels(), {}, kModelTimeout, start, [this, done = std::move(done)](auto answers) {
        for (auto& answer : answers) {
          if (answer.ok() && FingerprintFrom(answer->fingerprint()) == binding_.bound()) {
            done(std::move(*answer));
            return;
          }
        }
        done(Error(Reason::kNoReplica, "no embedding service of the heads' model answers"));
      });
}

void EmbeddingClient::DeleteSession(const v1::DeleteEmbeddingSessionRequest& request,
                                    std::function<void(absl::Status)> done) {
  const auto start = [](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                        const v1::DeleteEmbeddingSessionRequest* message,
                        v1::DeleteEmbeddingSessionResponse* response, auto callback) {
    v1::EmbeddingService::NewStub(channel)->async()->DeleteEmbeddingSession(
        context, message, response, std::move(callback));
  };
  calls_.Call<v1::DeleteEmbeddingSessionRequest, v1::DeleteEmbeddingSessionResponse>(
      pool_->Channels(), request, kDeleteTimeout, start, [done = std::move(done)](auto answers) {
        size_t failed = 0;
        for (const auto& answer : answers) failed += answer.ok() ? 0 : 1;
        if (!answers.empty() && failed == 0) {
          done(absl::OkStatus());
          return;
        }
        done(Error(Reason::kNoReplica,
                   fmt::format("{} of {} embedding services could not be told; repeat the deletion",
                               failed, answers.size())));
      });
}

void EmbeddingClient::Close() {
  calls_.Close();
  pool_->Close();
}

}  // namespace emotion::classifier

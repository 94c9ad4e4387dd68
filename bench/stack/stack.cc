#include "bench/stack/stack.h"

#include <future>
#include <utility>

#include <fmt/format.h>

#include "bench/stack/fifo_service.h"
#include "bench/stack/small_heads.h"
#include "classifier_service/server.h"
#include "common/rpc/server_host.h"
#include "embedding_service/server.h"
#include "gateway/server.h"

namespace emotion::bench {
namespace {

using classifier::ClassifierServer;
using embedding::EmbeddingServer;
using gateway::GatewayServer;

constexpr size_t kNoLimit = size_t{1} << 30;

}  // namespace

class Stack::Impl {
 public:
  Impl(const StackOptions& options, Metrics& metrics) : options_(options), metrics_(metrics) {}
  ~Impl() { Stop(std::chrono::steady_clock::now()); }

  absl::Status Start() {
    auto heads = SmallHeads::Create(kTimedDim);
    if (!heads.ok()) return heads.status();
    heads_ = *std::move(heads);
    absl::Status started = options_.fifo ? StartFifo() : StartEmbedding();
    if (started.ok()) started = StartClassifier();
    if (started.ok()) started = StartGateway();
    return started;
  }

  int gateway_port() const { return gateway_->port(); }
  int classifier_port() const { return classifier_->port(); }

  std::string Held() const {
    const EmbeddingServer::Held held = embedding_ ? embedding_->held() : EmbeddingServer::Held();
    return fmt::format("frames {}, flights {}, connections {}", held.frames, held.flights,
                       gateway_->connections());
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    if (gateway_) gateway_->Stop(deadline);
    if (classifier_) classifier_->Stop(deadline);
    if (embedding_) embedding_->Stop(deadline);
    if (fifo_host_) fifo_host_->Shutdown(deadline);
  }

 private:
  absl::Status StartEmbedding() {
    std::promise<absl::Status> loaded;
    embedding::EmbeddingOptions settings{.batch_size = options_.batch,
                                         .cache_similarity_threshold = 1,
                                         .queue_limit = options_.queue_limit,
                                         .default_timeout = options_.request_timeout};
    if (!options_.redis.empty()) {
      settings.cache_bytes = 0;
      settings.redis = RedisOptions{.host = options_.redis};
    }
    auto server = EmbeddingServer::Start(
        settings, {.metrics = metrics_,
                   .load = [time = options_.time]() -> absl::StatusOr<embedding::LoadedModel> {
                     return embedding::LoadedModel{.encoder = std::make_unique<TimedEncoder>(time),
                                                   .preprocessor = {},
                                                   .make_fp32 = {},
                                                   .directory = "/nowhere"};
                   },
                   .loaded = [&](const absl::Status& status) { loaded.set_value(status); }});
    if (!server.ok()) return server.status();
    embedding_ = *std::move(server);
    channel_ = embedding_->InProcessChannel();
    streams_ = embedding_->LocalStreams();
    return loaded.get_future().get();
  }

  absl::Status StartFifo() {
    fifo_ = std::make_unique<FifoService>(options_.time, options_.batch);
    auto host = ServerHost::Start(
        {.listen = "", .services = {fifo_.get()}, .names = {"emotion.v1.EmbeddingService"}});
    if (!host.ok()) return host.status();
    fifo_host_ = *std::move(host);
    fifo_host_->SetServing(true);
    channel_ = fifo_host_->InProcessChannel();
    return absl::OkStatus();
  }

  absl::Status StartClassifier() {
    classifier::ClassifierOptions options;
    options.listen = "127.0.0.1:0";
    options.embedding_in_process = std::exchange(channel_, nullptr);
    options.embedding_streams = std::exchange(streams_, nullptr);
    options.models.root = heads_->root();
    options.default_timeout = options_.request_timeout;
    if (options_.fifo) options.window_frames = kNoLimit;
    auto server = ClassifierServer::Start(options, metrics_);
    if (!server.ok()) return server.status();
    classifier_ = *std::move(server);
    return absl::OkStatus();
  }

  absl::Status StartGateway() {
    gateway::GatewayOptions options;
    options.host = "127.0.0.1";
    options.port = options_.port;
    options.classifier_channel = classifier_->InProcessChannel();
    options.classifier_streams = classifier_->LocalStreams();
    options.session_secret = "of a benchmark";
    options.input.max_timeout = options_.request_timeout;
    auto server = GatewayServer::Start(options, {.metrics = metrics_, .version = "bench"});
    if (!server.ok()) return server.status();
    gateway_ = *std::move(server);
    return absl::OkStatus();
  }

  const StackOptions options_;
  Metrics& metrics_;
  std::unique_ptr<SmallHeads> heads_;
  // To the encoder's service, until the classifier has them.
  std::shared_ptr<grpc::Channel> channel_;
  LocalStreamMaker<EmbedHop> streams_;
  // In the order of a frame's way back; destroyed the other way round.
  std::unique_ptr<EmbeddingServer> embedding_;
  std::unique_ptr<FifoService> fifo_;
  std::unique_ptr<ServerHost> fifo_host_;
  std::unique_ptr<ClassifierServer> classifier_;
  std::unique_ptr<GatewayServer> gateway_;
};

Stack::Stack(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stack::~Stack() = default;

absl::StatusOr<std::unique_ptr<Stack>> Stack::Start(const StackOptions& options, Metrics& metrics) {
  auto impl = std::make_unique<Impl>(options, metrics);
  if (absl::Status started = impl->Start(); !started.ok()) return started;
  return std::unique_ptr<Stack>(new Stack(std::move(impl)));
}

int Stack::gateway_port() const { return impl_->gateway_port(); }
int Stack::classifier_port() const { return impl_->classifier_port(); }
std::string Stack::Held() const { return impl_->Held(); }
void Stack::Stop(std::chrono::steady_clock::time_point deadline) { impl_->Stop(deadline); }

}  // namespace emotion::bench

#include "cli/serve/whole_system.h"

#include <utility>

#include <fmt/format.h>

#include "classifier_service/server.h"
#include "embedding_service/model_loader.h"
#include "embedding_service/server.h"
#include "gateway/server.h"

namespace emotion::cli {
namespace {

using classifier::ClassifierOptions;
using classifier::ClassifierServer;
using embedding::EmbeddingOptions;
using embedding::EmbeddingServer;
using gateway::GatewayOptions;
using gateway::GatewayServer;

class WholeSystem final : public RunningServers {
 public:
  static absl::StatusOr<std::unique_ptr<RunningServers>> Start(const StartContext& context) {
    auto system = std::unique_ptr<WholeSystem>(new WholeSystem());
    absl::Status started = system->StartEmbedding(context);
    if (started.ok()) started = system->StartClassifier(context);
    if (started.ok()) started = system->StartGateway(context);
    if (!started.ok()) return started;
    return std::unique_ptr<RunningServers>(std::move(system));
  }

  ~WholeSystem() override { Stop(std::chrono::steady_clock::now()); }

  bool ready() const override { return gateway_->ready(); }

  std::string Addresses() const override {
    return fmt::format("open http://localhost:{} (gRPC: embedding {}, classifier {})",
                       gateway_->port(), BoundAddress(embedding_listen_, embedding_->port()),
                       BoundAddress(classifier_listen_, classifier_->port()));
  }

  // Streams of this process are not told: the gateway goes on serving through them until it stops.
  void BeginDrain(std::chrono::milliseconds stop_sending_within) override {
    gateway_->BeginDrain();
    classifier_->BeginDrain(stop_sending_within);
    embedding_->BeginDrain(stop_sending_within);
  }

  void Stop(std::chrono::steady_clock::time_point deadline) override {
    if (gateway_) gateway_->Stop(deadline);
    if (classifier_) classifier_->Stop(deadline);
    if (embedding_) embedding_->Stop(deadline);
  }

 private:
  WholeSystem() = default;

  absl::Status StartEmbedding(const StartContext& context) {
    auto options = EmbeddingOptions::FromSettings(context.settings);
    if (!options.ok()) return options.status();
    embedding_listen_ = options->listen;
    auto server = EmbeddingServer::Start(
        *options, {.metrics = context.metrics,
                   .load = [options = *options] { return embedding::LoadModel(options); },
                   .loaded = context.loaded});
    if (!server.ok()) return server.status();
    embedding_ = *std::move(server);
    return absl::OkStatus();
  }

  absl::Status StartClassifier(const StartContext& context) {
    auto options = ClassifierOptions::FromSettings(context.settings);
    if (!options.ok()) return options.status();
    classifier_listen_ = options->listen;
    options->embedding_in_process = embedding_->InProcessChannel();
    options->embedding_streams = embedding_->LocalStreams();
    auto server = ClassifierServer::Start(*options, context.metrics);
    if (!server.ok()) return server.status();
    classifier_ = *std::move(server);
    return absl::OkStatus();
  }

  absl::Status StartGateway(const StartContext& context) {
    auto options = GatewayOptions::FromSettings(context.settings);
    if (!options.ok()) return options.status();
    options->classifier_channel = classifier_->InProcessChannel();
    options->classifier_streams = classifier_->LocalStreams();
    auto server = GatewayServer::Start(
        *std::move(options),
        {.metrics = context.metrics, .version = EMOTION_VERSION, .ready = [this] {
           return embedding_->ready() && classifier_->ready();
         }});
    if (!server.ok()) return server.status();
    gateway_ = *std::move(server);
    return absl::OkStatus();
  }

  std::string embedding_listen_;
  std::string classifier_listen_;
  // In the order of a frame's way back; destroyed the other way round.
  std::unique_ptr<EmbeddingServer> embedding_;
  std::unique_ptr<ClassifierServer> classifier_;
  std::unique_ptr<GatewayServer> gateway_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RunningServers>> StartWholeSystem(const StartContext& context) {
  return WholeSystem::Start(context);
}

}  // namespace emotion::cli

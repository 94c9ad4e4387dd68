#include "classifier_service/server.h"

#include <atomic>
#include <optional>
#include <utility>

#include "classifier_service/embedding_client.h"
#include "classifier_service/model_binding.h"
#include "classifier_service/model_card.h"
#include "classifier_service/predictor.h"
#include "classifier_service/service.h"
#include "common/affect/affect.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "common/rpc/load_teller.h"
#include "common/rpc/server_host.h"
#include "common/sync/mutex.h"
#include "fmt/format.h"
#include "heads/head_bank.h"

namespace emotion::classifier {
namespace {

void LogHeads(const heads::HeadBank& bank) {
  for (const heads::HeadInfo& info : bank.infos()) {
    // The first version's line, which people search logs for.
    const std::string f1 = info.val_f1 ? fmt::format("{:.4f}", *info.val_f1) : "unknown";
    LogInfo(fmt::format("Loaded classifier for {} (Val F1: {})", StateName(info.state), f1));
    if (!info.encoder_fingerprint) {
      LogWarning("these heads do not say which encoder they were trained for",
                 {{"file", info.file}});
    }
  }
  if (bank.demo()) {
    LogWarning("DEMO MODEL: trained on drawn faces; its levels are no measurement of anyone");
  }
}

std::optional<Digest> StatedFingerprint(const heads::HeadBank& bank) {
  return bank.infos().front().encoder_fingerprint;
}

}  // namespace

class ClassifierServer::Impl {
 public:
  Impl(const ClassifierOptions& options, std::unique_ptr<heads::HeadBank> bank, Metrics& metrics)
      : listen_(options.listen),
        bank_(std::move(bank)),
        binding_(StatedFingerprint(*bank_), static_cast<uint32_t>(bank_->input_dim()),
                 bank_->digest()),
        card_(*bank_, binding_),
        embeddings_(options, binding_, metrics, [this] { TellModelChanged(); }),
        predictor_({.default_timeout = options.default_timeout,
                    .window_frames = options.window_frames,
                    .max_image_bytes = options.max_image_bytes,
                    .worker_threads = options.worker_threads,
                    .replica_id = MakeRequestId()},
                   *bank_, binding_, embeddings_, metrics),
        service_(
            {.max_batch_images = options.max_batch_images, .window_frames = options.window_frames},
            predictor_, embeddings_, card_, metrics) {}

  ~Impl() { Stop(std::chrono::steady_clock::now()); }

  absl::Status Listen(const ClassifierOptions& options) {
    auto host = ServerHost::Start({.listen = options.listen,
                                   .services = {&service_},
                                   .names = {"emotion.v1.ClassifierService"},
                                   .tls = options.tls});
    if (!host.ok()) return host.status();
    host_ = *std::move(host);
    host_->SetServing(true);
    ready_ = true;
    // Streams learn the state of the encoders behind us, for pace and health.
    teller_ = std::make_unique<LoadTeller>(
        [this] { return predictor_.MakeLoad(); },
        [this](const v1::Load& load) { service_.streams().TellLoad(load); });
    return absl::OkStatus();
  }

  int port() const { return host_->port(); }
  std::string Addresses() const { return "grpc " + BoundAddress(listen_, port()); }
  std::shared_ptr<grpc::Channel> InProcessChannel() { return host_->InProcessChannel(); }
  LocalStreamMaker<PredictHop> LocalStreams() {
    return [this] { return service_.NewStream(); };
  }
  bool ready() const { return ready_; }

  void BeginDrain(std::chrono::milliseconds stop_sending_within) {
    ready_ = false;
    host_->SetServing(false);
    service_.streams().BeginDrain(stop_sending_within);
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    if (host_ == nullptr) return;
    ready_ = false;
    if (teller_) teller_->Stop();
    host_->Shutdown(deadline);
    embeddings_.Close();
  }

 private:
  void TellModelChanged() {
    if (!ready_) return;  // no stream yet, and the service may not be made yet
    v1::PredictStreamResponse response;
    response.mutable_model_changed()->set_model(binding_.model());
    service_.streams().Broadcast(response);
  }

  const std::string listen_;
  const std::unique_ptr<heads::HeadBank> bank_;
  ModelBinding binding_;
  const ModelCard card_;
  std::atomic<bool> ready_ = false;
  EmbeddingClient embeddings_;
  Predictor predictor_;
  Service service_;
  std::unique_ptr<ServerHost> host_;
  std::unique_ptr<LoadTeller> teller_;  // last: it uses all of the above
};

absl::StatusOr<std::unique_ptr<ClassifierServer>> ClassifierServer::Start(
    const ClassifierOptions& options, Metrics& metrics) {
  auto bank = heads::HeadBank::Load(options.models.classifiers());
  if (!bank.ok()) return bank.status();
  if (absl::Status demo = CheckDemo(options.models, (*bank)->demo(), "a head"); !demo.ok()) {
    return demo;
  }
  LogHeads(**bank);
  auto impl = std::make_unique<Impl>(options, *std::move(bank), metrics);
  if (absl::Status listening = impl->Listen(options); !listening.ok()) return listening;
  return std::unique_ptr<ClassifierServer>(new ClassifierServer(std::move(impl)));
}

ClassifierServer::ClassifierServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClassifierServer::~ClassifierServer() = default;

int ClassifierServer::port() const { return impl_->port(); }
std::shared_ptr<grpc::Channel> ClassifierServer::InProcessChannel() {
  return impl_->InProcessChannel();
}
LocalStreamMaker<PredictHop> ClassifierServer::LocalStreams() { return impl_->LocalStreams(); }
bool ClassifierServer::ready() const { return impl_->ready(); }
std::string ClassifierServer::Addresses() const { return impl_->Addresses(); }
void ClassifierServer::BeginDrain(std::chrono::milliseconds stop_sending_within) {
  impl_->BeginDrain(stop_sending_within);
}
void ClassifierServer::Stop(std::chrono::steady_clock::time_point deadline) {
  impl_->Stop(deadline);
}

}  // namespace emotion::classifier

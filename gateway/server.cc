#include "gateway/server.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "fmt/format.h"
#include "gateway/gateway_context.h"
#include "gateway/http/http_server.h"
#include "gateway/live_classifier.h"
#include "gateway/predict_handlers.h"
#include "gateway/routes.h"

namespace emotion::gateway {
namespace {

// The backend keeps the deadline itself; the server only guards against an answer that never comes.
constexpr std::chrono::milliseconds kHandlerSlack{5000};
// Sockets that are told to go without a word about the time that is left come back within this.
constexpr std::chrono::milliseconds kReconnectWithin{5000};
// Sessions that are to be forgotten get so long at the end, whatever the deadline.
constexpr std::chrono::milliseconds kForgetTime{500};

FramePoolOptions PoolOptions(const GatewayOptions& options, const GatewayServer::Deps& deps) {
  FramePoolOptions pool;
  pool.targets = options.classifier_targets;
  pool.in_process = options.classifier_channel;
  pool.tls = options.grpc_tls;
  pool.client_name = "gateway/" + deps.version;
  pool.default_timeout = options.input.max_timeout;
  pool.metrics = &deps.metrics;
  return pool;
}

Identity MakeIdentity(const GatewayOptions& options) {
  if (!options.session_secret.empty()) return {options.session_secret, options.cache_scope};
  LogInfo("SESSION_SECRET is not set: a random one is used, so several gateways would not agree");
  return {Identity::RandomSecret(), options.cache_scope};
}

absl::StatusOr<StaticFiles> LoadPage(const std::string& directory) {
  if (!directory.empty()) return StaticFiles::Load(directory);
  LogWarning("the web page was not found, so / is not served");
  return StaticFiles();
}

HttpServer::Options HttpOptions(const GatewayOptions& options) {
  HttpServer::Options http{.host = options.host,
                           .port = options.port,
                           .threads = std::max(1, options.threads),
                           .limits = options.http};
  http.limits.handler_timeout =
      std::max(http.limits.handler_timeout, options.input.max_timeout + kHandlerSlack);
  http.limits.web_socket.binary_bytes = options.input.max_image_bytes;
  return http;
}

}  // namespace

class GatewayServer::Impl {
 public:
  Impl(const GatewayOptions& options, const Deps& deps, Cors cors, StaticFiles files)
      : classifier_(PoolOptions(options, deps), options.classifier_streams),
        context_{.classifier = classifier_,
                 .metrics = deps.metrics,
                 .identity = MakeIdentity(options),
                 .cors = std::move(cors),
                 .files = std::move(files),
                 .input_limits = options.input,
                 .card_limits = {.max_image_bytes = options.input.max_image_bytes,
                                 .max_batch_images = options.input.max_batch_images,
                                 .max_body_bytes = options.max_body_bytes,
                                 .request_timeout = options.input.max_timeout},
                 .version = deps.version,
                 .ready = deps.ready},
        live_classifier_(classifier_),
        live_(live_classifier_, context_.identity, deps.metrics,
              {.input = options.input,
               .max_unanswered = options.max_unanswered,
               .forget_after = options.forget_after,
               .admit = [this] { return CheckLoaded(context_); }}),
        routes_(context_, options.max_body_bytes) {
    context_.live = &live_;
    live_classifier_.OnChange([this] { live_.ModelMayHaveChanged(); });
  }

  // What the classifier's streams call goes before them.
  ~Impl() { classifier_.Close(); }

  absl::Status Open(const GatewayOptions& options) {
    absl::StatusOr<std::unique_ptr<HttpServer>> http =
        HttpServer::Start(HttpOptions(options), routes_);
    if (!http.ok()) return http.status();
    http_ = *std::move(http);
    return absl::OkStatus();
  }

  int port() const { return http_->port(); }
  size_t connections() const { return http_->connections(); }
  bool ready() const { return !context_.draining && (!context_.ready || context_.ready()); }

  void BeginDrain(std::chrono::milliseconds reconnect_within) {
    if (context_.draining.exchange(true)) return;
    live_.BeginDrain(reconnect_within);
    if (http_) http_->BeginDrain();
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    BeginDrain(kReconnectWithin);
    if (http_) http_->Stop(deadline);
    live_.Stop(std::max(deadline, std::chrono::steady_clock::now() + kForgetTime));
    // Only now: what the connections waited for came over these streams. It answers every frame
    // that is left, so nothing calls into the HTTP server when its threads end.
    classifier_.Close();
  }

 private:
  ClassifierClient classifier_;
  GatewayContext context_;
  LiveClassifier live_classifier_;
  LiveHub live_;
  Routes routes_;
  std::unique_ptr<HttpServer> http_;  // last: its threads use all of the above
};

GatewayServer::GatewayServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GatewayServer::~GatewayServer() { impl_->Stop(std::chrono::steady_clock::now()); }

absl::StatusOr<std::unique_ptr<GatewayServer>> GatewayServer::Start(GatewayOptions options,
                                                                    Deps deps) {
  absl::StatusOr<Cors> cors = Cors::Create(options.cors_origins);
  if (!cors.ok()) return cors.status();
  absl::StatusOr<StaticFiles> files = LoadPage(options.web_directory);
  if (!files.ok()) return files.status();
  auto impl = std::make_unique<Impl>(options, deps, *std::move(cors), *std::move(files));
  if (absl::Status status = impl->Open(options); !status.ok()) return status;
  return std::unique_ptr<GatewayServer>(new GatewayServer(std::move(impl)));
}

int GatewayServer::port() const { return impl_->port(); }
bool GatewayServer::ready() const { return impl_->ready(); }
std::string GatewayServer::Addresses() const {
  return fmt::format("open http://localhost:{}", port());
}
size_t GatewayServer::connections() const { return impl_->connections(); }
void GatewayServer::BeginDrain(std::chrono::milliseconds stop_sending_within) {
  impl_->BeginDrain(stop_sending_within);
}
void GatewayServer::Stop(std::chrono::steady_clock::time_point deadline) { impl_->Stop(deadline); }

}  // namespace emotion::gateway

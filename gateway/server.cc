#include "gateway/server.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "fmt/format.h"
#include "gateway/gateway_context.h"
#include "gateway/http/http_server.h"
#include "gateway/routes.h"

namespace emotion::gateway {
namespace {

// The backend keeps the deadline itself; the server only guards against an answer that never comes.
constexpr std::chrono::milliseconds kHandlerSlack{5000};

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
  return http;
}

}  // namespace

class GatewayServer::Impl {
 public:
  Impl(const GatewayOptions& options, const Deps& deps, Cors cors, StaticFiles files)
      : classifier_(PoolOptions(options, deps)),
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
        routes_(context_, options.max_body_bytes) {}

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

  void BeginDrain() {
    context_.draining = true;
    if (http_) http_->BeginDrain();
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    BeginDrain();
    if (http_) http_->Stop(deadline);
    // Only now: what the connections waited for came over these streams. It answers every frame
    // that is left, so nothing calls into the HTTP server when its threads end.
    classifier_.Close();
  }

 private:
  ClassifierClient classifier_;
  GatewayContext context_;
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
void GatewayServer::BeginDrain() { impl_->BeginDrain(); }
void GatewayServer::Stop(std::chrono::steady_clock::time_point deadline) { impl_->Stop(deadline); }

}  // namespace emotion::gateway

// emotion-bench-echo: the system with nothing in it (echo_services.h), in one process or one part
// of three. Prints one line when it serves.
#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/cache/echo_services.h"
#include "common/lifecycle/lifecycle.h"
#include "common/log/log.h"
#include "common/observe/metrics.h"
#include "common/rpc/server_host.h"
#include "gateway/server.h"

namespace {

using namespace emotion;  // NOLINT: this file is its command

constexpr std::chrono::seconds kDrain{2};

struct Flags {
  std::string part = "all";
  uint32_t dim = 96;
  std::string embedding_target;
};

// What this process has of the system.
class Parts {
 public:
  explicit Parts(const Flags& flags) : flags_(flags) {}
  ~Parts() {
    const auto deadline = std::chrono::steady_clock::now() + kDrain;
    if (gateway_) gateway_->Stop(deadline);
    if (classifier_host_) classifier_host_->Shutdown(deadline);
    if (classifier_) classifier_->Close();
    if (embedding_host_) embedding_host_->Shutdown(deadline);
  }

  absl::Status Start() {
    absl::Status started;
    if (flags_.part != "classifier") started = StartEmbedding();
    if (started.ok() && flags_.part != "embedding") started = StartClassifier();
    if (started.ok() && flags_.part == "all") started = StartGateway();
    return started;
  }

  int port() const {
    if (gateway_) return gateway_->port();
    return classifier_host_ ? classifier_host_->port() : embedding_host_->port();
  }

 private:
  absl::Status StartEmbedding() {
    embedding_ = std::make_unique<bench::EchoEmbedding>(flags_.dim);
    return Host(*embedding_, "emotion.v1.EmbeddingService", embedding_host_);
  }

  absl::Status StartClassifier() {
    FramePoolOptions pool;
    pool.targets = {flags_.embedding_target};
    LocalStreamMaker<EmbedHop> local;
    if (embedding_host_) {
      pool.in_process = embedding_host_->InProcessChannel();
      local = embedding_->LocalStreams();
    }
    classifier_ = std::make_unique<bench::EchoClassifier>(std::move(pool), std::move(local));
    return Host(*classifier_, "emotion.v1.ClassifierService", classifier_host_);
  }

  absl::Status StartGateway() {
    gateway::GatewayOptions options;
    options.host = "127.0.0.1";
    options.port = 0;
    options.classifier_channel = classifier_host_->InProcessChannel();
    options.classifier_streams = classifier_->LocalStreams();
    options.session_secret = "of a benchmark";
    auto server = gateway::GatewayServer::Start(options, {.metrics = metrics_, .version = "bench"});
    if (!server.ok()) return server.status();
    gateway_ = *std::move(server);
    return absl::OkStatus();
  }

  static absl::Status Host(grpc::Service& service, const char* name,
                           std::unique_ptr<ServerHost>& into) {
    auto host =
        ServerHost::Start({.listen = "127.0.0.1:0", .services = {&service}, .names = {name}});
    if (!host.ok()) return host.status();
    into = *std::move(host);
    into->SetServing(true);
    return absl::OkStatus();
  }

  const Flags flags_;
  Metrics metrics_{BuildInfo{.version = "bench", .commit = ""}};
  std::unique_ptr<bench::EchoEmbedding> embedding_;
  std::unique_ptr<ServerHost> embedding_host_;
  std::unique_ptr<bench::EchoClassifier> classifier_;
  std::unique_ptr<ServerHost> classifier_host_;
  std::unique_ptr<gateway::GatewayServer> gateway_;
};

int Serve(const Flags& flags) {
  StopSignals signals;                                                // before any thread
  InitLogging({.level = *ParseLogLevel("info"), .service = "echo"});  // as `emotion serve`
  Parts parts(flags);
  if (const absl::Status started = parts.Start(); !started.ok()) {
    fmt::print(stderr, "emotion-bench-echo: {}\n", std::string(started.message()));
    return 1;
  }
  fmt::print("ready: 127.0.0.1:{}\n", parts.port());
  std::fflush(stdout);
  signals.Wait();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The system with nothing in it: what its hops cost.", "emotion-bench-echo");
  app.add_option("--part", flags.part, "all (a gateway, too), classifier or embedding")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "classifier", "embedding"}));
  app.add_option("--dim", flags.dim, "values of an embedding")->capture_default_str();
  app.add_option("--embedding-target", flags.embedding_target, "HOST:PORT, of a classifier");
  CLI11_PARSE(app, argc, argv);
  return Serve(flags);
}

#include "common/rpc/server_host.h"

#include <mutex>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "common/error/error.h"
#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr int kMaxConcurrentStreams = 1000;  // of one connection

// Both act on every builder made afterwards, in the whole process.
void InstallPlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
  // Two servers on one port would each get half of the connections, silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // Clients ping every 20 s, also between calls; a server takes that for an attack by default.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

std::chrono::system_clock::time_point ToSystem(std::chrono::steady_clock::time_point time) {
  const auto left = time - std::chrono::steady_clock::now();
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerHost>> ServerHost::Start(Options options) {
  KeepCallbackThreads();
  InstallPlugins();
  grpc::ServerBuilder builder;
  SetLimits(builder);
  int port = 0;
  if (!options.listen.empty()) {
    builder.AddListeningPort(options.listen, MakeServerCredentials(options.tls), &port);
  }
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || (!options.listen.empty() && port == 0)) {
    const std::string text = fmt::format(
        "cannot listen on '{}': not host:port, or taken by another process; or the certificates "
        "cannot be read",
        CleanUtf8(options.listen, 100));
    return absl::UnavailableError({text.data(), text.size()});
  }
  std::unique_ptr<ServerHost> host(
      new ServerHost(std::move(options.names), std::move(server), port));
  host->SetServing(false);
  return host;
}

ServerHost::ServerHost(std::vector<std::string> names, std::unique_ptr<grpc::Server> server,
                       int port)
    : names_(std::move(names)), server_(std::move(server)), port_(port) {}

ServerHost::~ServerHost() { Shutdown(std::chrono::steady_clock::now()); }

std::shared_ptr<grpc::Channel> ServerHost::InProcessChannel() {
  return server_->InProcessChannel(ClientChannelArguments());
}

void ServerHost::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  for (const std::string& name : names_) health->SetServingStatus(name, serving);
}

void ServerHost::Shutdown(std::chrono::steady_clock::time_point deadline) {
  server_->Shutdown(ToSystem(deadline));
  server_->Wait();
}

}  // namespace emotion

// emotion-gateway: the only door to the outside, as a process of its own.
#include "common/program/program.h"
#include "gateway/server.h"

namespace emotion::gateway {
namespace {

absl::StatusOr<std::unique_ptr<RunningServers>> Start(const StartContext& context) {
  auto options = GatewayOptions::FromSettings(context.settings);
  if (!options.ok()) return options.status();
  auto server = GatewayServer::Start(*std::move(options),
                                     {.metrics = context.metrics, .version = EMOTION_VERSION});
  if (server.ok()) context.loaded(absl::OkStatus());
  return server;
}

}  // namespace
}  // namespace emotion::gateway

int main(int argc, char** argv) {
  return emotion::RunProgram(
      {.name = "emotion-gateway", .service = "gateway", .roles = emotion::kGatewayRole},
      std::vector<std::string>(argv + 1, argv + argc), emotion::gateway::Start);
}

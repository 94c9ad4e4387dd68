// emotion-classifier: the classifier service as a process of its own.
#include "classifier_service/server.h"
#include "common/program/program.h"

namespace emotion::classifier {
namespace {

absl::StatusOr<std::unique_ptr<RunningServers>> Start(const StartContext& context) {
  const auto options = ClassifierOptions::FromSettings(context.settings);
  if (!options.ok()) return options.status();
  auto server = ClassifierServer::Start(*options, context.metrics);
  if (server.ok()) context.loaded(absl::OkStatus());
  return server;
}

}  // namespace
}  // namespace emotion::classifier

int main(int argc, char** argv) {
  return emotion::RunProgram(
      {.name = "emotion-classifier", .service = "classifier", .roles = emotion::kClassifierRole},
      std::vector<std::string>(argv + 1, argv + argc), emotion::classifier::Start);
}

// emotion-embedding: the embedding service as a process of its own.
#include "common/program/program.h"
#include "embedding_service/model_loader.h"
#include "embedding_service/server.h"

namespace emotion::embedding {
namespace {

absl::StatusOr<std::unique_ptr<RunningServers>> Start(const StartContext& context) {
  const auto options = EmbeddingOptions::FromSettings(context.settings);
  if (!options.ok()) return options.status();
  return EmbeddingServer::Start(*options,
                                {.metrics = context.metrics,
                                 .load = [options = *options] { return LoadModel(options); },
                                 .loaded = context.loaded});
}

}  // namespace
}  // namespace emotion::embedding

int main(int argc, char** argv) {
  return emotion::RunProgram(
      {.name = "emotion-embedding", .service = "embedding", .roles = emotion::kEmbeddingRole},
      std::vector<std::string>(argv + 1, argv + argc), emotion::embedding::Start);
}

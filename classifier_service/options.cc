#include "classifier_service/options.h"

#include "common/rpc/tls_settings.h"

namespace emotion::classifier {

absl::StatusOr<ClassifierOptions> ClassifierOptions::FromSettings(const Settings& settings) {
  ClassifierOptions options;
  options.listen = settings.String("CLASSIFIER_LISTEN");
  options.embedding_targets = settings.List("EMBEDDING_TARGETS");
  auto tls = TlsFromSettings(settings);
  if (!tls.ok()) return tls.status();
  options.tls = *std::move(tls);
  auto models = ModelsFromSettings(settings);
  if (!models.ok()) return models.status();
  options.models = *std::move(models);
  options.default_timeout = settings.Milliseconds("REQUEST_TIMEOUT_MS");
  options.max_batch_images = static_cast<size_t>(settings.Int("MAX_BATCH_IMAGES"));
  options.max_image_bytes = static_cast<size_t>(settings.Int("MAX_IMAGE_BYTES"));
  options.window_frames = static_cast<size_t>(settings.Int("QUEUE_LIMIT"));
  return options;
}

}  // namespace emotion::classifier

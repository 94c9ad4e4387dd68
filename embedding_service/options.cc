#include "embedding_service/options.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/rpc/tls_settings.h"

namespace emotion::embedding {
namespace {

constexpr size_t kCudaBatch = 8;
constexpr size_t kCpuBatch = 4;

bool IsCuda(std::string_view device) { return device.starts_with("cuda"); }

absl::Status CheckDevice(std::string_view device) {
  const bool numbered =
      device.starts_with("cuda:") && device.size() > 5 &&
      std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (device == "auto" || device == "cpu" || device == "torch-cpu" || device == "cuda" ||
      numbered) {
    return absl::OkStatus();
  }
  return FieldError("DEVICE",
                    fmt::format("must be auto, cpu, torch-cpu, cuda or cuda:N; was '{}'", device));
}

// A core decodes 500 webcam frames a second, far more than a CPU encodes; a GPU needs some more.
size_t DecodeThreads() { return std::clamp<size_t>(std::thread::hardware_concurrency() / 4, 1, 8); }

}  // namespace

absl::StatusOr<EmbeddingOptions> EmbeddingOptions::FromSettings(const Settings& settings) {
  EmbeddingOptions options;
  options.listen = settings.String("EMBEDDING_LISTEN");
  auto tls = TlsFromSettings(settings);
  if (!tls.ok()) return tls.status();
  options.tls = *std::move(tls);
  if (settings.Bool("USE_REDIS")) {
    LogWarning("USE_REDIS has no effect: this release caches in process only");
  }
  options.device = settings.String("DEVICE");
  if (absl::Status status = CheckDevice(options.device); !status.ok()) return status;
  options.precision = vision::ParsePrecision(settings.String("PRECISION"));  // auto: unset
  options.use_fp16 = settings.Bool("USE_FP16");
  options.batch_size = static_cast<size_t>(settings.Int("BATCH_SIZE"));
  options.max_patches = static_cast<int>(settings.Int("MAX_PATCHES"));
  options.cache_bytes = static_cast<size_t>(settings.Int("CACHE_BYTES"));
  options.cache_ttl = std::chrono::seconds(settings.Int("CACHE_TTL_S"));
  options.queue_limit = static_cast<size_t>(settings.Int("QUEUE_LIMIT"));
  options.default_timeout = settings.Milliseconds("REQUEST_TIMEOUT_MS");
  options.max_image_bytes = static_cast<size_t>(settings.Int("MAX_IMAGE_BYTES"));
  options.decode_threads = DecodeThreads();
  auto models = ModelsFromSettings(settings);
  if (!models.ok()) return models.status();
  options.models = *std::move(models);
  return options;
}

size_t BatchSizeOn(const EmbeddingOptions& options, std::string_view device) {
  if (options.batch_size > 0) return options.batch_size;
  return IsCuda(device) ? kCudaBatch : kCpuBatch;
}

}  // namespace emotion::embedding

#include "embedding_service/options.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "common/error/error.h"
#include "common/rpc/tls_settings.h"
#include "common/sync/usable_cores.h"

namespace emotion::embedding {
namespace {

constexpr size_t kCudaBatch = 8;
constexpr size_t kCpuBatch = 4;

bool IsCuda(std::string_view device) { return device.starts_with("cuda"); }

bool IsNumberedCuda(std::string_view device) {
  return device.starts_with("cuda:") && device.size() > 5 &&
         std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// One device of any kind, or several numbered ones, each named once.
bool AreDevices(const std::vector<std::string>& devices) {
  if (devices.size() == 1 && !IsNumberedCuda(devices.front())) {
    const std::string& device = devices.front();
    return device == "auto" || device == "cpu" || device == "torch-cpu" || device == "cuda";
  }
  return std::all_of(devices.begin(), devices.end(), IsNumberedCuda) &&
         std::set<std::string>(devices.begin(), devices.end()).size() == devices.size();
}

absl::StatusOr<std::vector<std::string>> ParseDevices(std::string_view setting) {
  std::vector<std::string> devices;
  for (size_t begin = 0; begin <= setting.size();) {
    const size_t end = std::min(setting.find(',', begin), setting.size());
    devices.emplace_back(setting.substr(begin, end - begin));
    begin = end + 1;
  }
  if (AreDevices(devices)) return devices;
  return FieldError("DEVICE", fmt::format("must be auto, cpu, torch-cpu, cuda, cuda:N or several "
                                          "different cuda:N,cuda:M; was '{}'",
                                          setting));
}

// A core decodes 500 webcam frames a second, far more than a CPU encodes; a GPU needs some more.
size_t DecodeThreads() { return std::clamp<size_t>(static_cast<size_t>(UsableCores()) / 4, 1, 8); }

absl::StatusOr<RedisOptions> RedisFromSettings(const Settings& settings) {
  RedisOptions redis;
  redis.host = settings.String("REDIS_HOST");
  redis.port = static_cast<uint16_t>(settings.Int("REDIS_PORT"));
  redis.username = settings.String("REDIS_USERNAME");
  // Asked anew at each connection: its file may have changed. Wrong now ends the start.
  redis.password = [settings] { return settings.Secret("REDIS_PASSWORD"); };
  const auto password = redis.password();
  if (!password.ok()) return password.status();
  if (!redis.username.empty() && password->empty()) {
    return FieldError("REDIS_USERNAME", "needs REDIS_PASSWORD or REDIS_PASSWORD_FILE");
  }
  redis.client_name = "emotion-embedding";
  return redis;
}

}  // namespace

absl::StatusOr<EmbeddingOptions> EmbeddingOptions::FromSettings(const Settings& settings) {
  EmbeddingOptions options;
  options.listen = settings.String("EMBEDDING_LISTEN");
  auto tls = TlsFromSettings(settings);
  if (!tls.ok()) return tls.status();
  options.tls = *std::move(tls);
  auto devices = ParseDevices(settings.String("DEVICE"));
  if (!devices.ok()) return devices.status();
  options.devices = *std::move(devices);
  options.precision = vision::ParsePrecision(settings.String("PRECISION"));  // auto: unset
  options.use_fp16 = settings.Bool("USE_FP16");
  options.batch_size = static_cast<size_t>(settings.Int("BATCH_SIZE"));
  options.batch_wait = settings.Milliseconds("BATCH_WAIT_MS");
  options.max_patches = static_cast<int>(settings.Int("MAX_PATCHES"));
  options.cache_bytes = static_cast<size_t>(settings.Int("CACHE_BYTES"));
  options.cache_ttl = std::chrono::seconds(settings.Int("CACHE_TTL_S"));
  options.cache_similarity_threshold =
      static_cast<float>(settings.Double("CACHE_SIMILARITY_THRESHOLD"));
  auto cache_secret = settings.Secret("CACHE_SECRET");
  if (!cache_secret.ok()) return cache_secret.status();
  options.cache_secret = *std::move(cache_secret);
  if (settings.Bool("USE_REDIS")) {
    auto redis = RedisFromSettings(settings);
    if (!redis.ok()) return redis.status();
    options.redis = *std::move(redis);
  }
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

// The settings that the embedding service reads.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/models/model_location.h"
#include "common/redis/redis_client.h"
#include "common/rpc/channel.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::embedding {

struct EmbeddingOptions {
  std::string listen = {};  // host:port of gRPC; port 0: any free one; empty: in-process only
  TlsFiles tls = {};

  ModelLocation models = {};
  std::vector<std::string> devices = {"auto"};      // as DEVICE; several: all CUDA, all different
  std::optional<vision::Precision> precision = {};  // unset: chosen for the device
  bool use_fp16 = true;                             // half precision where it is sound, while unset
  size_t batch_size = 0;                            // 0: 8 on CUDA, 4 on a CPU
  int max_patches = 1024;                           // of one image

  size_t cache_bytes = size_t{256} << 20;  // 0: off
  std::chrono::seconds cache_ttl{600};
  float cache_similarity_threshold = 0.95F;  // 1: no near matching
  std::optional<RedisOptions> redis = {};    // unset: the cache is not shared
  std::string cache_secret = {};             // empty: near matching stays in process

  size_t queue_limit = 256;                 // also the window of one stream
  std::chrono::milliseconds batch_wait{0};  // as BatchRules::wait_to_fill
  std::chrono::milliseconds default_timeout{10'000};
  size_t max_image_bytes = size_t{4} << 20;
  size_t decode_threads = 2;

  // INVALID_ARGUMENT or NOT_FOUND, with what to do, for settings that contradict each other and
  // models that are not there.
  static absl::StatusOr<EmbeddingOptions> FromSettings(const Settings& settings);
};

// The most faces of one encode on `device` (EncoderInfo::device).
size_t BatchSizeOn(const EmbeddingOptions& options, std::string_view device);

}  // namespace emotion::embedding

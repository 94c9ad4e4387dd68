// The settings that the classifier service reads.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/models/model_location.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame_pool.h"

namespace emotion::classifier {

struct ClassifierOptions {
  std::string listen;  // host:port of gRPC; port 0: any free one
  std::vector<std::string> embedding_targets;
  // Instead of embedding_targets, where the embedding service lives in this process.
  std::shared_ptr<grpc::Channel> embedding_in_process;
  LocalStreamMaker<EmbedHop> embedding_streams;  // with it; unset: streams go over the channel
  TlsFiles tls;
  ModelLocation models;

  std::chrono::milliseconds default_timeout{10000};  // REQUEST_TIMEOUT_MS
  size_t max_batch_images = 32;
  size_t max_image_bytes = size_t{4} << 20;
  size_t window_frames = 256;  // unanswered frames of one stream
  size_t worker_threads = 1;   // run the heads: 0.5 ms a frame

  // INVALID_ARGUMENT or NOT_FOUND, with what to do, when settings contradict each other or the
  // models are not there.
  static absl::StatusOr<ClassifierOptions> FromSettings(const Settings& settings);
};

}  // namespace emotion::classifier

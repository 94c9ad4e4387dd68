// What a gateway is started with.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame_pool.h"
#include "gateway/http/limits.h"
#include "gateway/predict_input.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {

struct GatewayOptions {
  std::string host = "0.0.0.0";
  uint16_t port = 8000;  // 0: any free one
  int threads = 2;       // of HTTP; more do not help while one core parses gigabits of JSON

  std::vector<std::string> classifier_targets = {"localhost:50052"};
  std::shared_ptr<grpc::Channel> classifier_channel;  // instead of targets: `emotion serve`
  LocalStreamMaker<PredictHop> classifier_streams;    // with it; unset: streams go over the channel
  TlsFiles grpc_tls;

  std::vector<std::string> cors_origins;
  CacheScope cache_scope = CacheScope::kSubject;
  std::string session_secret;  // empty: a random one, and a log line that says so
  std::string web_directory;   // the page; empty: none

  InputLimits input;
  size_t max_body_bytes = size_t{16} << 20;
  HttpLimits http;
  size_t max_unanswered = 64;                      // frames of one socket
  std::chrono::milliseconds forget_after{30'000};  // from the end of a session's last socket

  // FIELD_INVALID naming the setting: one that is set and that this release cannot honour ends the
  // start, above all those of security, which must never be ignored in silence.
  static absl::StatusOr<GatewayOptions> FromSettings(const Settings& settings);
};

}  // namespace emotion::gateway

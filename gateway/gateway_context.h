// What the handlers of all routes share. Made once by the server; the members are read-only after
// that or safe from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

#include "common/observe/metrics.h"
#include "gateway/classifier_client.h"
#include "gateway/http/static_files.h"
#include "gateway/json_codec/answers.h"
#include "gateway/live/live_hub.h"
#include "gateway/predict_input.h"
#include "gateway/security/cors.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {

struct GatewayContext {
  ClassifierClient& classifier;
  Metrics& metrics;
  Identity identity;
  Cors cors;
  StaticFiles files;
  InputLimits input_limits;
  CardLimits card_limits;
  std::string version;
  // Whether this process can serve, beside not draining. Local: it asks no other service.
  std::function<bool()> ready;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::atomic<bool> draining{false};
  LiveHub* live = nullptr;  // of /v1/stream; set before the port opens
};

}  // namespace emotion::gateway

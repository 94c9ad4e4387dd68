// A gateway with small limits on a free port, for the fixtures beside this file.
#pragma once

#include <chrono>
#include <cstddef>

#include "gateway/server.h"

namespace emotion::gateway {

inline constexpr size_t kMaxImage = 2000;

inline GatewayOptions OptionsWithin(std::chrono::milliseconds max_timeout) {
  GatewayOptions options;
  options.host = "127.0.0.1";
  options.port = 0;
  options.cors_origins = {"https://page.example"};
  options.session_secret = "0123456789abcdef";
  options.input = {.max_image_bytes = kMaxImage, .max_batch_images = 4, .max_timeout = max_timeout};
  return options;
}

}  // namespace emotion::gateway

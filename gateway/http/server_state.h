// What all connections of a server share.
#pragma once

#include <atomic>
#include <cstddef>

#include "gateway/http/app.h"
#include "gateway/http/limits.h"

namespace emotion::gateway {

// Outlives the connections.
struct ServerState {
  HttpApp& app;
  HttpLimits limits;
  std::atomic<bool> draining{false};   // answers end their connection
  std::atomic<bool> stopping{false};   // idle connections end too
  std::atomic<size_t> body_bytes{0};   // held by bodies in flight
  std::atomic<size_t> web_sockets{0};  // open ones
};

}  // namespace emotion::gateway

// Which foreign pages may read our answers: exact origins, from CORS_ORIGINS.
//
// Pages of our own origin need none of this. "*" must be asked for, stands alone, and never goes
// with credentials (this server takes no cookies, so no answer ever allows them).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/http/message.h"

namespace emotion::gateway {

class Cors {
 public:
  // Each origin is "scheme://host[:port]" without a path, or "*" alone; else FIELD_INVALID.
  static absl::StatusOr<Cors> Create(std::vector<std::string> origins);

  // Adds what lets the page at the request's Origin read `response`, and Vary.
  void Decorate(const Request& request, Response& response) const;

  // Whether a page may open a WebSocket, which no browser asks about beforehand: no Origin (not a
  // browser), our own (same host and port as Host names), or a listed one.
  bool MayConnect(const Request& request) const;

  // The 204 for an OPTIONS request of a path whose methods are `allow`; a preflight from an origin
  // that is not listed gets it without leave, which is how browsers learn it.
  Response Preflight(const Request& request, const std::string& allow) const;

 private:
  explicit Cors(std::vector<std::string> origins) : origins_(std::move(origins)) {}
  // The value of Access-Control-Allow-Origin; "" for none.
  std::string AllowedOrigin(const Request& request) const;

  std::vector<std::string> origins_;
};

}  // namespace emotion::gateway

#include "gateway/security/cors.h"

#include <algorithm>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::gateway {
namespace {

bool IsOrigin(std::string_view text) {
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  const std::string_view host = text.substr(scheme + 3);
  return !host.empty() && host.find_first_of("/?#@*, ") == std::string_view::npos;
}

}  // namespace

absl::StatusOr<Cors> Cors::Create(std::vector<std::string> origins) {
  const bool any = std::ranges::find(origins, "*") != origins.end();
  if (any && origins.size() > 1) {
    return FieldError("CORS_ORIGINS", "'*' means every origin and must stand alone");
  }
  for (std::string& origin : origins) {
    if (origin.ends_with('/')) origin.pop_back();
    if (origin != "*" && !IsOrigin(origin)) {
      return FieldError(
          "CORS_ORIGINS",
          fmt::format("must be origins such as https://example.org; was '{}'", origin));
    }
  }
  return Cors(std::move(origins));
}

std::string Cors::AllowedOrigin(const Request& request) const {
  const auto origin = request.headers.Find("Origin");
  if (!origin) return "";
  for (const std::string& allowed : origins_) {
    if (allowed == "*") return "*";
    if (allowed == *origin) return allowed;
  }
  return "";
}

bool Cors::MayConnect(const Request& request) const {
  if (request.headers.Count("Origin") > 1) return false;
  const auto origin = request.headers.Find("Origin");
  if (!origin || !AllowedOrigin(request).empty()) return true;
  const auto host = request.headers.Find("Host");
  // The scheme is not compared: a proxy that ends TLS in front of us hides it.
  return host && !host->empty() &&
         (EqualsIgnoringCase(*origin, fmt::format("https://{}", *host)) ||
          EqualsIgnoringCase(*origin, fmt::format("http://{}", *host)));
}

void Cors::Decorate(const Request& request, Response& response) const {
  if (origins_.empty()) return;
  if (origins_.front() != "*") response.headers.Add("Vary", "Origin");
  const std::string origin = AllowedOrigin(request);
  if (origin.empty()) return;
  response.headers.Add("Access-Control-Allow-Origin", origin);
  response.headers.Add("Access-Control-Expose-Headers", "Retry-After, Server-Timing, X-Request-Id");
}

Response Cors::Preflight(const Request& request, const std::string& allow) const {
  Response response;
  response.status = 204;
  response.headers.Add("Allow", allow);
  if (!AllowedOrigin(request).empty() && request.headers.Find("Access-Control-Request-Method")) {
    response.headers.Add("Access-Control-Allow-Methods", allow);
    response.headers.Add("Access-Control-Allow-Headers",
                         "Authorization, Cache-Control, Content-Type, X-Face-Id, X-Request-Id, "
                         "X-Request-Timeout-Ms, X-Session-Id, traceparent");
    response.headers.Add("Access-Control-Max-Age", "600");
  }
  return response;
}

}  // namespace emotion::gateway

// One HTTP request by libcurl, for the verbs that talk to a gateway.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::cli {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // not empty: POST
  std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

struct HttpResponse {
  long status = 0;
  std::string body;
};

// UNAVAILABLE with libcurl's words when no answer came; any HTTP status is an answer.
absl::StatusOr<HttpResponse> Fetch(const HttpRequest& request);

bool IsHttpUrl(std::string_view server);

}  // namespace emotion::cli

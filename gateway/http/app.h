// What the HTTP server asks of the application behind it.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "gateway/http/message.h"

namespace emotion::gateway {

// All functions are called from the server's threads, at the same time for different connections,
// and must not block.
class HttpApp {
 public:
  struct Admission {
    std::optional<Response> refusal;  // the answer, before any of the body is read
    size_t body_limit = 0;            // bytes; 413 above
    bool body_required = false;       // without Content-Length or chunks: 411
  };

  virtual ~HttpApp() = default;

  // The header is there, the body is not. Fills in what the request is called (ids, route).
  virtual Admission Admit(Request& request) = 0;

  // Answers through the exchange, now or later, from any thread.
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;

  // Last touch on every answer, also those that the server makes by itself (400, 408, 413, ...).
  virtual void Finish(const Request& request, Response& response) = 0;

  // After the answer was written, or could not be (status 499: the client had left).
  virtual void Record(const Request& request, const Response& response,
                      std::chrono::nanoseconds duration) = 0;
};

}  // namespace emotion::gateway

// What the HTTP server asks of the application behind it.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "gateway/http/message.h"
#include "gateway/http/web_socket.h"

namespace emotion::gateway {

// All functions are called from the server's threads, at the same time for different connections,
// and must not block.
class HttpApp {
 public:
  struct Admission {
    std::optional<Response> refusal;  // the answer, before any of the body is read
    size_t body_limit = 0;            // bytes; 413 above
    bool body_required = false;       // without Content-Length or chunks: 411
    // The request becomes a WebSocket with this subprotocol ("": none) instead of being handled.
    std::optional<std::string> web_socket = {};
  };

  virtual ~HttpApp() = default;

  // The header is there, the body is not. Fills in what the request is called (ids, route).
  virtual Admission Admit(Request& request) = 0;

  // Answers through the exchange, now or later, from any thread.
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;

  // The handshake of an admitted WebSocket is done: who takes its messages. On the socket's strand.
  // Never called by a server whose Admit lets none through.
  virtual std::shared_ptr<WebSocketHandler> OpenWebSocket(
      const Request& /*request*/,
      std::weak_ptr<WebSocket> /*socket*/) {  // NOLINT(performance-unnecessary-value-param): kept
    return nullptr;
  }

  // Last touch on every answer, also those that the server makes by itself (400, 408, 413, ...).
  virtual void Finish(const Request& request, Response& response) = 0;

  // After the answer was written, or could not be (status 499: the client had left). A WebSocket is
  // recorded by its handler, or here when it never got one.
  virtual void Record(const Request& request, const Response& response,
                      std::chrono::nanoseconds duration) = 0;
};

}  // namespace emotion::gateway

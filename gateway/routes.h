// The application behind the HTTP server: the table of routes, and what every answer has in common
// (ids, trace, CORS, security headers, access log, metrics).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/gateway_context.h"
#include "gateway/http/app.h"
#include "gateway/http/router.h"

namespace emotion::gateway {

class Routes final : public HttpApp {
 public:
  // Borrows `context`. `max_body_bytes`: MAX_BODY_BYTES.
  Routes(GatewayContext& context, size_t max_body_bytes);

  Admission Admit(Request& request) override;
  void Handle(std::shared_ptr<Exchange> exchange) override;
  std::shared_ptr<WebSocketHandler> OpenWebSocket(const Request& request,
                                                  std::weak_ptr<WebSocket> socket) override;
  void Finish(const Request& request, Response& response) override;
  void Record(const Request& request, const Response& response,
              std::chrono::nanoseconds duration) override;

  // (method, pattern) of every route, for checking the OpenAPI document against.
  std::vector<std::pair<std::string, std::string>> List() const;

 private:
  Admission Refusal(Response response) const;
  Admission AdmitStream(const Request& request) const;
  Admission AdmitPage(const Request& request) const;

  GatewayContext& context_;
  const size_t max_body_bytes_;
  const Router router_;
};

}  // namespace emotion::gateway

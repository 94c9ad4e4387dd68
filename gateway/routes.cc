#include "gateway/routes.h"

#include <algorithm>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/http/upgrade.h"
#include "gateway/predict_handlers.h"
#include "gateway/service_handlers.h"

namespace emotion::gateway {
namespace {

constexpr std::string_view kPageRoute = "page";  // what the log and the metrics call its files
constexpr std::string_view kPageMethods = "GET, HEAD, OPTIONS";
// A body that a route has no use for is read and dropped up to here, so the connection can go on.
constexpr size_t kUnusedBodyBytes = 64 * 1024;

constexpr std::string_view kStreamRoute = "/v1/stream";
constexpr std::string_view kSubprotocol = "emotion.v1";

using Handler = void (*)(GatewayContext&, const std::shared_ptr<Exchange>&);

// Reached by nobody: AdmitStream lets sockets through and refuses the rest.
void HandleStream(GatewayContext& /*context*/, const std::shared_ptr<Exchange>& exchange) {
  exchange->Respond(*CheckUpgrade(exchange->request(), kSubprotocol).refusal);
}

Router MakeRouter(GatewayContext& context) {
  const std::vector<std::string> image_types = {"application/json", "image/jpeg", "image/png",
                                                "image/webp", "multipart/form-data"};
  const std::vector<std::string> json = {"application/json"};
  std::vector<Route> routes;
  const auto add = [&](std::string_view method, std::string_view pattern, Handler handler,
                       std::vector<std::string> types = {}) {
    routes.push_back({std::string(method), std::string(pattern),
                      [&context, handler](const std::shared_ptr<Exchange>& exchange) {
                        handler(context, exchange);
                      },
                      std::move(types)});
  };
  add("POST", "/v1/predict", HandlePredict, image_types);
  add("POST", "/predict", HandlePredict, image_types);
  add("POST", "/v1/predict/batch", HandlePredictBatch, json);
  add("POST", "/predict/batch", HandlePredictBatch, json);
  add("GET", kStreamRoute, HandleStream);
  add("GET", "/v1/model", HandleModel);
  add("DELETE", "/v1/sessions/{id}", HandleDeleteSession);
  add("GET", "/health", HandleHealth);
  add("GET", "/health/live", HandleLive);
  add("GET", "/health/ready", HandleReady);
  add("GET", "/metrics", HandleMetrics);
  add("GET", "/openapi.json", HandleOpenApi);
  return Router(std::move(routes));
}

std::string Joined(const std::vector<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

// Asked for by machines every few seconds: such lines would bury the others.
bool IsProbe(std::string_view route) { return route.starts_with("/health") || route == "/metrics"; }

}  // namespace

Routes::Routes(GatewayContext& context, size_t max_body_bytes)
    : context_(context), max_body_bytes_(max_body_bytes), router_(MakeRouter(context)) {}

std::vector<std::pair<std::string, std::string>> Routes::List() const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const Route& route : router_.routes()) list.emplace_back(route.method, route.pattern);
  return list;
}

HttpApp::Admission Routes::Refusal(Response response) const {
  return {.refusal = std::move(response), .body_limit = kUnusedBodyBytes, .body_required = false};
}

HttpApp::Admission Routes::Admit(Request& request) {
  const auto id = request.headers.Find("X-Request-Id");
  if (id && ValidRequestId(*id)) request.request_id = *id;
  request.traceparent = ChildTraceparent(request.headers.Find("traceparent").value_or(""));
  request.trace_id = request.traceparent.substr(3, 32);

  const RouteMatch match = router_.Match(request.method, request.path);
  if (match.allow.empty()) {
    if (context_.files.Has(request.path)) request.route = kPageRoute;
    return AdmitPage(request);
  }
  if (request.method == "OPTIONS") return Refusal(context_.cors.Preflight(request, match.allow));
  if (match.route == nullptr) {
    Response response =
        HttpProblem(405, fmt::format("This path takes {}.", match.allow), request.request_id);
    response.headers.Add("Allow", match.allow);
    return Refusal(std::move(response));
  }
  request.route = match.route->pattern;
  request.path_parameter = match.parameter;
  if (request.route == kStreamRoute) return AdmitStream(request);
  const std::vector<std::string>& types = match.route->media_types;
  if (types.empty()) return {.refusal = {}, .body_limit = kUnusedBodyBytes, .body_required = false};
  const auto encoding = request.headers.Find("Content-Encoding");
  if (std::ranges::find(types, MediaType(request)) == types.end() ||
      (encoding && !EqualsIgnoringCase(*encoding, "identity"))) {
    return Refusal(HttpProblem(
        415,
        fmt::format("Content-Type must be one of {}, without Content-Encoding.", Joined(types)),
        request.request_id));
  }
  return {.refusal = {}, .body_limit = max_body_bytes_, .body_required = true};
}

HttpApp::Admission Routes::AdmitStream(const Request& request) const {
  Upgrade upgrade = CheckUpgrade(request, kSubprotocol);
  if (upgrade.refusal) return Refusal(*std::move(upgrade.refusal));
  if (!context_.cors.MayConnect(request)) {
    Response response = Problem(
        absl::PermissionDeniedError("pages of this origin may not connect; see CORS_ORIGINS"),
        request.request_id);
    response.facts.refused = true;
    return Refusal(std::move(response));
  }
  return {.refusal = {},
          .body_limit = 0,
          .body_required = false,
          .web_socket = std::move(upgrade.subprotocol)};
}

std::shared_ptr<WebSocketHandler> Routes::OpenWebSocket(const Request& request,
                                                        std::weak_ptr<WebSocket> socket) {
  return context_.live->Open(request, std::move(socket));
}

HttpApp::Admission Routes::AdmitPage(const Request& request) const {
  if (request.route.empty()) {
    return Refusal(HttpProblem(404, "There is nothing at this path.", request.request_id));
  }
  const std::string allow(kPageMethods);
  if (request.method == "OPTIONS") return Refusal(context_.cors.Preflight(request, allow));
  if (request.method != "GET" && request.method != "HEAD") {
    Response response =
        HttpProblem(405, fmt::format("This path takes {}.", allow), request.request_id);
    response.headers.Add("Allow", allow);
    return Refusal(std::move(response));
  }
  return {.refusal = {}, .body_limit = kUnusedBodyBytes, .body_required = false};
}

void Routes::Handle(std::shared_ptr<Exchange> exchange) {
  const Request& request = exchange->request();
  if (request.route == kPageRoute) {
    exchange->Respond(context_.files.Serve(request));
    return;
  }
  router_.Match(request.method, request.path).route->handler(exchange);
}

void Routes::Finish(const Request& request, Response& response) {
  response.headers.Set("X-Request-Id", request.request_id);
  response.headers.Set("X-Content-Type-Options", "nosniff");
  response.headers.Set("Referrer-Policy", "no-referrer");
  if (!response.headers.Find("Cache-Control")) response.headers.Set("Cache-Control", "no-store");
  if (!response.headers.Find("Content-Security-Policy")) {
    response.headers.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  }
  context_.cors.Decorate(request, response);
}

void Routes::Record(const Request& request, const Response& response,
                    std::chrono::nanoseconds duration) {
  const std::string_view route = request.route.empty() ? "other" : std::string_view(request.route);
  context_.metrics.Request("gateway", route, response.facts.code, duration);
  if (response.facts.refused) context_.metrics.Refused(ParseReason(response.facts.reason));
  if (IsProbe(route) && response.status < 500 && !DebugLogging()) return;
  LogInfo("request", {{"request_id", request.request_id},
                      {"trace_id", request.trace_id},
                      {"method", request.method.substr(0, 16)},
                      {"route", route},
                      {"status", response.status},
                      {"code", response.facts.code},
                      {"reason", response.facts.reason},
                      {"duration_ms", std::chrono::duration<double, std::milli>(duration).count()},
                      {"cache", response.facts.cache},
                      {"subject", context_.identity.LogSubject(request.remote_address)}});
}

}  // namespace emotion::gateway

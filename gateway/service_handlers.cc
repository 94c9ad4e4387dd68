#include "gateway/service_handlers.h"

#include <utility>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/json_codec/json_text.h"
#include "gateway/openapi/openapi.h"

namespace emotion::gateway {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kHealthTimeout{500};
constexpr std::chrono::milliseconds kModelTimeout{2000};
constexpr std::chrono::milliseconds kDeleteTimeout{5000};

Response JsonResponse(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.Add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

std::string_view SharedCacheName(v1::SharedCache state) {
  switch (state) {
    case v1::SHARED_CACHE_OFF:
      return "off";
    case v1::SHARED_CACHE_UP:
      return "up";
    case v1::SHARED_CACHE_DOWN:
      return "down";
    default:
      return "unknown";
  }
}

// What the two questions to the classifier service brought.
struct Picture {
  bool draining = false;
  bool ready = true;
  absl::StatusOr<v1::GetStatusResponse> behind = absl::UnknownError("not asked");
  absl::StatusOr<v1::GetModelResponse> model = absl::UnknownError("not asked");
};

bool IsLoading(const absl::Status& status) { return ReasonOf(status) == Reason::kLoading; }

std::string_view OverallStatus(const Picture& picture) {
  if (picture.draining) return "draining";
  if (!picture.ready || IsLoading(picture.behind.status()) || IsLoading(picture.model.status())) {
    return "loading";
  }
  if (!picture.behind.ok() || !picture.model.ok() || picture.behind->replicas_ready() == 0 ||
      picture.behind->replicas_model_mismatch() > 0 ||
      picture.behind->shared_cache() == v1::SHARED_CACHE_DOWN) {
    return "degraded";
  }
  return "ok";
}

std::string ComponentsJson(const Picture& picture, const PoolState& pool) {
  const bool reached = picture.behind.ok();
  const v1::GetStatusResponse behind = reached ? *picture.behind : v1::GetStatusResponse();
  const std::string_view embedding = !reached                      ? "unknown"
                                     : behind.replicas_ready() > 0 ? "up"
                                                                   : "down";
  return fmt::format(
      "{{\"classifier\":{{\"status\":\"{}\",\"replicas_ready\":{},\"replicas_total\":{}}},"
      "\"embedding\":{{\"status\":\"{}\",\"replicas_ready\":{},\"replicas_total\":{},"
      "\"replicas_model_mismatch\":{}}},\"shared_cache\":{{\"status\":\"{}\"}}}}",
      reached ? "up" : "down", pool.ready, pool.total, embedding, behind.replicas_ready(),
      behind.replicas_total(), behind.replicas_model_mismatch(),
      SharedCacheName(behind.shared_cache()));
}

Response HealthResponse(const GatewayContext& context, const Picture& picture) {
  const std::string_view status = OverallStatus(picture);
  std::string body = fmt::format("{{\"status\":\"{}\",\"version\":", status);
  AppendJsonString(body, context.version);
  body += ",\"model\":";
  AppendJsonString(body, picture.model.ok() ? picture.model->model() : "");
  body += fmt::format(",\"demo\":{},\"uptime_seconds\":",
                      picture.model.ok() && picture.model->demo() ? "true" : "false");
  AppendJsonNumber(body,
                   std::chrono::duration<double>(steady_clock::now() - context.started).count(), 3);
  body += ",\"components\":" + ComponentsJson(picture, context.classifier.State()) + "}";
  const bool serves = status == "ok" || status == "degraded";
  return JsonResponse(serves ? 200 : 503, std::move(body));
}

}  // namespace

void HandleHealth(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  auto picture = std::make_shared<Picture>();
  picture->draining = context.draining;
  picture->ready = !context.ready || context.ready();
  context.classifier.GetStatus(kHealthTimeout, [&context, exchange, picture](
                                                   absl::StatusOr<v1::GetStatusResponse> behind) {
    picture->behind = std::move(behind);
    context.classifier.GetModel(
        kHealthTimeout, [&context, exchange, picture](absl::StatusOr<v1::GetModelResponse> model) {
          picture->model = std::move(model);
          exchange->Respond(HealthResponse(context, *picture));
        });
  });
}

void HandleLive(GatewayContext& /*context*/, const std::shared_ptr<Exchange>& exchange) {
  exchange->Respond(JsonResponse(200, "{\"status\":\"live\"}"));
}

void HandleReady(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  const std::string& id = exchange->request().request_id;
  if (context.draining) {
    exchange->Respond(Problem(Error(Reason::kDraining, "draining"), id));
  } else if (context.ready && !context.ready()) {
    exchange->Respond(Problem(Error(Reason::kLoading, "loading"), id));
  } else {
    exchange->Respond(JsonResponse(200, "{\"status\":\"ready\"}"));
  }
}

void HandleMetrics(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  Response response;
  response.headers.Add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.body = context.metrics.Text();
  exchange->Respond(std::move(response));
}

void HandleModel(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  context.classifier.GetModel(
      kModelTimeout, [&context, exchange](const absl::StatusOr<v1::GetModelResponse>& model) {
        if (!model.ok()) {
          exchange->Respond(Problem(model.status(), exchange->request().request_id));
          return;
        }
        exchange->Respond(JsonResponse(200, ModelCardJson(*model, context.card_limits)));
      });
}

void HandleDeleteSession(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  if (!IsValidSessionId(request.path_parameter)) {
    exchange->Respond(
        Problem(FieldError("id", "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -"), request.request_id));
    return;
  }
  v1::DeleteSessionRequest deletion;
  deletion.set_session_key(context.identity.SessionKey(request.path_parameter));
  deletion.set_deleted_at_us(request.accepted_at_us);
  context.classifier.DeleteSession(
      deletion, kDeleteTimeout,
      [exchange](const absl::StatusOr<v1::DeleteSessionResponse>& deleted) {
        if (deleted.ok()) {
          Response response;
          response.status = 204;
          exchange->Respond(std::move(response));
          return;
        }
        // Late is as good as unreachable: the call is safe to repeat, which 503 says.
        absl::Status status = deleted.status();
        if (absl::IsDeadlineExceeded(status)) status = absl::UnavailableError("too late");
        exchange->Respond(Problem(status, exchange->request().request_id));
      });
}

void HandleOpenApi(GatewayContext& /*context*/, const std::shared_ptr<Exchange>& exchange) {
  exchange->Respond(JsonResponse(200, std::string(OpenApiDocument())));
}

}  // namespace emotion::gateway

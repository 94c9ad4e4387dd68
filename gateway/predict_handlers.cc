#include "gateway/predict_handlers.h"

#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/rpc/status.h"
#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/json_codec/json_text.h"

namespace emotion::gateway {
namespace {

using std::chrono::steady_clock;

void Refuse(Exchange& exchange, const absl::Status& status) {
  Response response = Problem(status, exchange.request().request_id);
  response.facts.refused = true;
  exchange.Respond(std::move(response));
}

v1::CacheMode ModeOf(CacheUse use, bool exact_only) {
  switch (use) {
    case CacheUse::kBypass:
      return exact_only ? v1::CACHE_MODE_BYPASS_EXACT_ONLY : v1::CACHE_MODE_BYPASS;
    case CacheUse::kNoStore:
      return v1::CACHE_MODE_NO_STORE;
    default:
      return exact_only ? v1::CACHE_MODE_EXACT_ONLY : v1::CACHE_MODE_USE;
  }
}

// Everything of a frame but its image and face.
v1::Frame FrameOf(const GatewayContext& context, const Request& request, const CallOptions& call,
                  const std::optional<std::string>& session_id, bool exact_only) {
  IdentityKeys keys = context.identity.KeysFor(session_id, request.remote_address);
  v1::Frame frame;
  frame.set_session_key(std::move(keys.session_key));
  frame.set_cache_scope(std::move(keys.cache_scope));
  frame.set_fairness_key(std::move(keys.fairness_key));
  frame.set_timeout_ms(static_cast<uint32_t>(call.timeout.count()));
  frame.set_priority(v1::PRIORITY_INTERACTIVE);
  frame.set_cache_mode(ModeOf(call.cache, exact_only));
  frame.set_accepted_at_us(request.accepted_at_us);
  frame.set_request_id(request.request_id);
  frame.set_traceparent(request.traceparent);
  frame.set_detect(v1::DETECT_OFF);
  return frame;
}

Response JsonResponse(std::string body) {
  Response response;
  response.headers.Add("Content-Type", "application/json");
  response.headers.Add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

// From the acceptance at this door to now.
std::chrono::nanoseconds AgeOf(const Request& request) {
  const auto accepted =
      std::chrono::system_clock::time_point(std::chrono::microseconds(request.accepted_at_us));
  return std::chrono::system_clock::now() - accepted;
}

Response PredictionResponse(const v1::PredictResult& result, Milliseconds time,
                            const std::string& request_id) {
  if (const absl::Status status = FromProtoStatus(result.status()); !status.ok()) {
    return Problem(status, request_id);
  }
  Response response = JsonResponse(PredictionJson(result, time, request_id));
  response.headers.Add("Server-Timing", ServerTiming(result.times()));
  response.facts.cache = CacheOutcomeName(result.cache());
  return response;
}

// A batch while its frames are under way; owned by their callbacks.
class Batch {
 public:
  Batch(std::shared_ptr<Exchange> exchange, size_t size)
      : exchange_(std::move(exchange)), entries_(size), remaining_(size) {}

  void Put(size_t index, const v1::PredictResult& result) {
    const absl::Status status = FromProtoStatus(result.status());
    if (!status.ok()) {
      PutError(index, status);
      return;
    }
    // The members of the prediction stand beside the index.
    const std::string prediction =
        PredictionJson(result, steady_clock::now() - started_, exchange_->request().request_id);
    Finish(index, fmt::format("{{\"index\":{},{}", index, prediction.substr(1)), false);
  }

  void PutError(size_t index, const absl::Status& status) {
    Finish(index,
           fmt::format("{{\"index\":{},\"error\":{}}}", index,
                       ProblemJson(status, exchange_->request().request_id)),
           true);
  }

 private:
  void Finish(size_t index, std::string entry, bool failed) {
    {
      MutexLock lock(mutex_);
      entries_[index] = std::move(entry);
      failed_ += failed ? 1 : 0;
      if (--remaining_ > 0) return;
    }
    exchange_->Respond(JsonResponse(Body()));
  }

  // Called once, when no other thread touches this batch any more.
  std::string Body() NO_THREAD_SAFETY_ANALYSIS {
    std::string body = "{\"results\":[";
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (i > 0) body += ',';
      body += entries_[i];
    }
    body += fmt::format("],\"failed\":{},\"processing_time_ms\":", failed_);
    AppendJsonNumber(body, Milliseconds(steady_clock::now() - started_).count(), 3);
    body += '}';
    return body;
  }

  const std::shared_ptr<Exchange> exchange_;
  const steady_clock::time_point started_ = steady_clock::now();
  Mutex mutex_;
  std::vector<std::string> entries_ GUARDED_BY(mutex_);
  size_t failed_ GUARDED_BY(mutex_) = 0;
  size_t remaining_ GUARDED_BY(mutex_);
};

}  // namespace

absl::Status CheckLoaded(const GatewayContext& context) {
  if (context.draining || !context.ready || context.ready()) return absl::OkStatus();
  return WithRetry(Error(Reason::kLoading, "the models are being loaded; try again soon"),
                   std::chrono::seconds(2));
}

void HandlePredict(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  if (absl::Status status = CheckLoaded(context); !status.ok()) return Refuse(*exchange, status);
  const auto started = steady_clock::now();
  const Request& request = exchange->request();
  const absl::StatusOr<CallOptions> call = ReadCallOptions(request, context.input_limits);
  if (!call.ok()) return Refuse(*exchange, call.status());
  absl::StatusOr<PredictInput> input = ReadPredictInput(request, context.input_limits);
  if (!input.ok()) return Refuse(*exchange, input.status());

  v1::Frame frame = FrameOf(context, request, *call, input->session_id, /*exact_only=*/false);
  frame.set_face_id(input->face_id);
  frame.set_encoded_image(std::move(input->image));
  const uint64_t ticket = context.classifier.Predict(
      std::move(frame), [&context, exchange, started](const v1::PredictResult& result) {
        context.metrics.AnswerAge(AgeOf(exchange->request()));
        exchange->Respond(PredictionResponse(result, steady_clock::now() - started,
                                             exchange->request().request_id));
      });
  exchange->OnGone([&context, ticket] { context.classifier.Cancel(ticket); });
}

void HandlePredictBatch(GatewayContext& context, const std::shared_ptr<Exchange>& exchange) {
  if (absl::Status status = CheckLoaded(context); !status.ok()) return Refuse(*exchange, status);
  const Request& request = exchange->request();
  const absl::StatusOr<CallOptions> call = ReadCallOptions(request, context.input_limits);
  if (!call.ok()) return Refuse(*exchange, call.status());
  absl::StatusOr<BatchInput> input = ReadBatchInput(request, context.input_limits);
  if (!input.ok()) return Refuse(*exchange, input.status());

  const auto batch = std::make_shared<Batch>(exchange, input->images.size());
  std::vector<uint64_t> tickets;
  for (size_t i = 0; i < input->images.size(); ++i) {
    absl::StatusOr<std::string>& image = input->images[i];
    if (!image.ok()) {
      batch->PutError(i, image.status());
      continue;
    }
    v1::Frame frame = FrameOf(context, request, *call, input->session_id, input->exact_only[i]);
    if (!input->face_ids.empty()) frame.set_face_id(input->face_ids[i]);
    frame.set_encoded_image(*std::move(image));
    tickets.push_back(context.classifier.Predict(
        std::move(frame), [&context, exchange, batch, i](const v1::PredictResult& result) {
          context.metrics.AnswerAge(AgeOf(exchange->request()));
          batch->Put(i, result);
        }));
  }
  exchange->OnGone([&context, tickets = std::move(tickets)] {
    for (const uint64_t ticket : tickets) context.classifier.Cancel(ticket);
  });
}

}  // namespace emotion::gateway

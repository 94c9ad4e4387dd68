#include "gateway/live/live_session.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "common/rpc/frame_limits.h"
#include "common/rpc/status.h"
#include "fmt/format.h"

namespace emotion::gateway {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRetryDelay{1000};
constexpr size_t kOwnPartOfRequestId = 40;  // of 64; the number of the frame stands behind it

// What the metrics call the end of a socket.
std::string_view CodeOfEnd(const SocketEnd& end) {
  switch (end.code) {
    case close_code::kUnsupportedData:
    case close_code::kBadPayload:
    case close_code::kProtocolError:
    case close_code::kTooBig:
      return "INVALID_ARGUMENT";
    case close_code::kPolicy:
    case close_code::kTryAgainLater:
      return "RESOURCE_EXHAUSTED";
    case close_code::kInternal:
      return "INTERNAL";
    case close_code::kIdle:
      return "DEADLINE_EXCEEDED";
    case close_code::kAbnormal:
      return end.by == "slow_reader" ? "RESOURCE_EXHAUSTED" : "CANCELLED";
    default:
      return "OK";
  }
}

}  // namespace

LiveSession::LiveSession(LiveHub& hub, const Request& request, std::weak_ptr<WebSocket> socket)
    : hub_(hub),
      socket_(std::move(socket)),
      address_(request.remote_address),
      request_id_(request.request_id),
      traceparent_(request.traceparent),
      started_(steady_clock::now()) {
  hub_.metrics().AddStreams(1);
}

void LiveSession::OnText(std::string_view text) {
  const absl::StatusOr<ClientMessage> message = ReadClientMessage(text);
  if (!message.ok()) return Close(close_code::kUnsupportedData, "text must be one JSON object");
  std::visit([this](const auto& known) { Take(known); }, *message);
}

void LiveSession::Take(const StartMessage& start) {
  if (session_id_.empty()) {
    return Begin(start.session_id.value_or(Identity::RandomSessionId()), start.forget_on_close);
  }
  // A token would be renewed here.
  if (!start.session_id || *start.session_id == session_id_) return;
  Refuse(std::nullopt, FieldError("session_id", "a socket has one session; open another socket"));
}

void LiveSession::Take(const FrameMessage& frame) {
  const FrameName name{.id = frame.id, .face_id = frame.face_id};
  Announce(name, /*refused=*/false);
  if (!unanswered_.contains(name.id)) return;
  announced_->refused = true;
  Refuse(name, FieldError("id", fmt::format("{} is not answered yet", name.id)));
}

void LiveSession::Take(const RefusedMessage& refused) {
  if (!refused.is_frame) return Refuse(std::nullopt, refused.status);
  std::optional<FrameName> name;
  if (refused.id) name = {.id = *refused.id, .face_id = refused.face_id};
  Announce(name.value_or(FrameName{.id = last_id_.value_or(0)}), /*refused=*/true);
  Refuse(name, refused.status);
}

void LiveSession::Begin(std::string session_id, bool forget_on_close) {
  session_id_ = std::move(session_id);
  forget_on_close_ = forget_on_close;
  keys_ = hub_.identity().KeysFor(session_id_, address_);
  hub_.forgetter().Open(keys_.session_key);
  const LiveState state = hub_.backend().State();
  told_model_ = state.model;
  Send(Ready({.session_id = session_id_,
              .state = state,
              .max_image_bytes = hub_.options().input.max_image_bytes,
              .max_unanswered = hub_.options().max_unanswered}));
}

void LiveSession::BeginUnlessBegun() {
  if (session_id_.empty()) Begin(Identity::RandomSessionId(), /*forget_on_close=*/true);
}

void LiveSession::Announce(FrameName name, bool refused) {
  BeginUnlessBegun();
  if (announced_ && !announced_->refused) {
    Refuse(announced_->name, FieldError("id", "the frame was not followed by its image"));
  }
  announced_ = {.name = name, .refused = refused};
  last_id_ = name.id;
}

std::optional<FrameName> LiveSession::NextFrame() {
  BeginUnlessBegun();
  if (const auto announced = std::exchange(announced_, std::nullopt)) {
    return announced->refused ? std::nullopt : std::optional(announced->name);
  }
  const FrameName name{.id = last_id_ ? *last_id_ + 1 : 1};
  if (name.id > kMaxFrameId) {
    Refuse(std::nullopt, FieldError("id", fmt::format("{} has no next id", kMaxFrameId)));
    return std::nullopt;
  }
  last_id_ = name.id;
  if (!unanswered_.contains(name.id)) return name;
  Refuse(name, FieldError("id", fmt::format("{} is not answered yet", name.id)));
  return std::nullopt;
}

absl::Status LiveSession::Admit(size_t image_bytes) const {
  const LiveOptions& options = hub_.options();
  if (absl::Status status = CheckImageSize(image_bytes, options.input); !status.ok()) return status;
  if (unanswered_.size() >= options.max_unanswered) {
    return WithRetry(Error(Reason::kQueueFull,
                           fmt::format("{} frames of this socket are unanswered, as many as may be",
                                       options.max_unanswered)),
                     kRetryDelay);
  }
  return options.admit ? options.admit() : absl::OkStatus();
}

void LiveSession::OnBinary(std::string image, std::unique_ptr<BodyCharge> charge) {
  const std::optional<FrameName> name = NextFrame();
  if (!name) return;
  if (absl::Status status = Admit(image.size()); !status.ok()) return Refuse(name, status);
  Submit(*name, std::move(image), std::move(charge));
}

void LiveSession::OnDropped(Dropped why, size_t bytes) {
  const std::optional<FrameName> name = NextFrame();
  if (!name) return;
  const size_t most = hub_.options().input.max_image_bytes;
  Refuse(name, why == Dropped::kTooLarge
                   ? Error(Reason::kImageTooLarge,
                           fmt::format("image: {} bytes; at most {} are taken", bytes, most))
                   : WithRetry(Error(Reason::kQueueFull, "too many images are on their way"),
                               kRetryDelay));
}

v1::Frame LiveSession::MakeFrame(FrameName name, std::string image, const std::string& request_id) {
  const uint64_t now = hub_.options().now_us();
  sequence_ = std::max(now, sequence_ + 1);
  v1::Frame frame;
  frame.set_encoded_image(std::move(image));
  frame.set_session_key(keys_.session_key);
  frame.set_cache_scope(keys_.cache_scope);
  frame.set_fairness_key(keys_.fairness_key);
  frame.set_face_id(name.face_id);
  frame.set_sequence(sequence_);
  frame.set_timeout_ms(static_cast<uint32_t>(hub_.options().input.max_timeout.count()));
  frame.set_priority(v1::PRIORITY_INTERACTIVE);
  frame.set_cache_mode(v1::CACHE_MODE_USE);
  frame.set_accepted_at_us(now);
  frame.set_request_id(request_id);
  frame.set_traceparent(ChildTraceparent(traceparent_));
  frame.set_detect(v1::DETECT_OFF);
  return frame;
}

void LiveSession::Submit(FrameName name, std::string image, std::unique_ptr<BodyCharge> charge) {
  ++counts_.frames;
  std::string request_id =
      fmt::format("{}.{}", request_id_.substr(0, kOwnPartOfRequestId), counts_.frames);
  v1::Frame frame = MakeFrame(name, std::move(image), request_id);
  Unanswered& entry = unanswered_[name.id];
  entry = {.name = name,
           .ticket = 0,
           .accepted_at_us = frame.accepted_at_us(),
           .started = steady_clock::now(),
           .request_id = std::move(request_id),
           .charge = std::move(charge)};
  // Answers come on any thread, this one too; they wait for their turn on the strand, so the ticket
  // is there.
  entry.ticket = hub_.backend().Predict(
      std::move(frame), [self = shared_from_this(), id = name.id](v1::PredictResult result) {
        const std::shared_ptr<WebSocket> socket = self->socket_.lock();
        if (!socket) return;
        socket->Post([self, id, result = std::move(result)] { self->Answer(id, result); });
      });
}

void LiveSession::Answer(uint64_t id, const v1::PredictResult& result) {
  const auto found = unanswered_.find(id);
  if (found == unanswered_.end()) return;  // the socket ended
  const Unanswered frame = std::move(found->second);
  unanswered_.erase(found);
  const absl::Status status = FromProtoStatus(result.status());
  if (status.ok()) {
    ++counts_.predictions;
    const uint64_t now = hub_.options().now_us();
    hub_.metrics().AnswerAge(std::chrono::microseconds(now - std::min(now, frame.accepted_at_us)));
    Send(Prediction(frame.name, result, steady_clock::now() - frame.started, frame.request_id));
  } else if (ReasonOf(status) == Reason::kSuperseded) {
    ++counts_.superseded;
    Send(Superseded(frame.name));
  } else {
    ++counts_.errors;
    Send(ErrorMessage(frame.name, status, frame.request_id));
  }
  if (stopping_ && unanswered_.empty()) Close(close_code::kServiceRestart, "draining");
}

// At the door, before any work.
void LiveSession::Refuse(std::optional<FrameName> name, const absl::Status& status) {
  ++counts_.errors;
  hub_.metrics().Refused(ReasonOf(status));
  Send(ErrorMessage(name, status, request_id_));
}

void LiveSession::PostModel(std::shared_ptr<const std::string> model) {
  if (const auto socket = socket_.lock()) {
    socket->Post(
        [self = shared_from_this(), model = std::move(model)] { self->TellModel(*model); });
  }
}

void LiveSession::TellModel(const std::string& model) {
  if (ended_ || session_id_.empty() || model == told_model_) return;
  told_model_ = model;
  Send(ModelMessage(model));
}

void LiveSession::OnDrain() {
  if (std::exchange(draining_, true)) return;
  Send(Draining(hub_.ReconnectAfter()));
}

void LiveSession::OnStop() {
  OnDrain();
  stopping_ = true;
  if (unanswered_.empty()) Close(close_code::kServiceRestart, "draining");
}

void LiveSession::OnClosed(const SocketEnd& end) {
  ended_ = true;
  for (const auto& [id, frame] : unanswered_) hub_.backend().Cancel(frame.ticket);
  const size_t left = unanswered_.size();
  unanswered_.clear();
  counts_.errors += left;
  if (!session_id_.empty()) {
    hub_.forgetter().Close(keys_.session_key, forget_on_close_ && !draining_);
  }
  hub_.Left(this);
  hub_.metrics().AddStreams(-1);
  Record(end);
}

void LiveSession::Record(const SocketEnd& end) const {
  const auto duration = steady_clock::now() - started_;
  hub_.metrics().Request("gateway", "/v1/stream", CodeOfEnd(end), duration);
  LogInfo("stream ended",
          {{"request_id", request_id_},
           {"trace_id", traceparent_.size() > 35 ? traceparent_.substr(3, 32) : ""},
           {"route", "/v1/stream"},
           {"code", CodeOfEnd(end)},
           {"close_code", end.code},
           {"by", end.by},
           {"duration_ms", std::chrono::duration<double, std::milli>(duration).count()},
           {"frames", counts_.frames},
           {"answered", counts_.predictions},
           {"superseded", counts_.superseded},
           {"errors", counts_.errors},
           {"subject", hub_.identity().LogSubject(address_)}});
}

void LiveSession::Send(std::string text) {
  if (const auto socket = socket_.lock()) socket->Send(std::move(text));
}

void LiveSession::Close(uint16_t code, std::string_view reason) {
  if (const auto socket = socket_.lock()) socket->Close(code, reason);
}

}  // namespace emotion::gateway

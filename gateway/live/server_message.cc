#include "gateway/live/server_message.h"

#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/json_codec/answers.h"
#include "gateway/json_codec/json_text.h"

namespace emotion::gateway {
namespace {

// The opening of a message about a frame.
std::string Head(std::string_view type, FrameName frame) {
  return fmt::format(R"({{"type":"{}","id":{},"face_id":{})", type, frame.id, frame.face_id);
}

}  // namespace

std::string Ready(const ReadyMessage& message) {
  std::string out = R"({"type":"ready","session_id":)";
  AppendJsonString(out, message.session_id);
  out += R"(,"model":)";
  AppendJsonString(out, message.state.model);
  out += fmt::format(
      R"(,"limits":{{"max_image_bytes":{},"max_unanswered":{}}},"next_frame_after_ms":{})",
      message.max_image_bytes, message.max_unanswered, message.state.next_frame_after.count());
  if (message.state.demo) out += fmt::format(R"(,"demo":{})", *message.state.demo);
  out += '}';
  return out;
}

std::string Prediction(FrameName frame, const v1::PredictResult& result,
                       std::chrono::duration<double, std::milli> processing_time,
                       std::string_view request_id) {
  std::string out = Head("prediction", frame);
  const std::string prediction = PredictionJson(result, processing_time, request_id);
  out += ',';
  out.append(prediction, 1);  // its members stand beside ours
  return out;
}

std::string Superseded(FrameName frame) { return Head("superseded", frame) + '}'; }

std::string ErrorMessage(std::optional<FrameName> frame, const absl::Status& status,
                         std::string_view request_id) {
  std::string out = frame ? Head("error", *frame) : R"({"type":"error")";
  out += R"(,"problem":)";
  out += ProblemJson(status, request_id);
  out += '}';
  return out;
}

std::string ModelMessage(std::string_view model) {
  return R"({"type":"model","model":)" + JsonString(model) + '}';
}

std::string Draining(std::chrono::milliseconds reconnect_after) {
  return fmt::format(R"({{"type":"draining","reconnect_after_ms":{}}})", reconnect_after.count());
}

}  // namespace emotion::gateway

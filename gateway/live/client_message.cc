#include "gateway/live/client_message.h"

#include <utility>

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"
#include "gateway/json_codec/json_reader.h"
#include "gateway/predict_input.h"

namespace emotion::gateway {
namespace {

// Keeps the first complaint about each kind of message: which kind it is may come last.
class MessageSink : public JsonSink {
 public:
  absl::Status OnValue(std::string_view name, std::optional<size_t> index,
                       JsonValue&& value) override {
    if (index || std::holds_alternative<JsonNull>(value)) return absl::OkStatus();
    if (name == "type") {
      if (auto* text = std::get_if<std::string>(&value)) type_ = std::move(*text);
    } else if (name == "id") {
      TakeId(value);
    } else if (name == "face_id") {
      const absl::StatusOr<uint32_t> face = ReadFaceId(name, value);
      if (face.ok()) frame_.face_id = *face;
      Keep(frame_error_, face.status());
    } else {
      Keep(start_error_, TakeOfStart(name, value));
    }
    return absl::OkStatus();
  }

  ClientMessage Message() {
    if (type_ == "start") {
      if (start_error_.ok()) return std::move(start_);
      return RefusedMessage{.status = start_error_, .is_frame = false, .id = {}, .face_id = 0};
    }
    if (type_ == "frame") {
      if (!id_) Keep(frame_error_, IdError());
      if (frame_error_.ok()) return FrameMessage{.id = *id_, .face_id = frame_.face_id};
      return RefusedMessage{
          .status = frame_error_, .is_frame = true, .id = id_, .face_id = frame_.face_id};
    }
    return RefusedMessage{.status = FieldError("type", "must be start or frame"),
                          .is_frame = false,
                          .id = {},
                          .face_id = 0};
  }

 private:
  static void Keep(absl::Status& first, const absl::Status& status) {
    if (first.ok()) first = status;
  }
  static absl::Status IdError() {
    return FieldError("id", fmt::format("must be an integer from 0 to {}", kMaxFrameId));
  }

  void TakeId(const JsonValue& value) {
    const auto* number = std::get_if<int64_t>(&value);
    if (number != nullptr && *number >= 0 && *number <= static_cast<int64_t>(kMaxFrameId)) {
      id_ = static_cast<uint64_t>(*number);
    } else {
      Keep(frame_error_, IdError());
    }
  }

  absl::Status TakeOfStart(std::string_view name, JsonValue& value) {
    if (name == "forget_on_close") {
      const bool* flag = std::get_if<bool>(&value);
      if (flag == nullptr) return FieldError(name, "must be true or false");
      start_.forget_on_close = *flag;
      return absl::OkStatus();
    }
    if (name != "session_id" && name != "detect" && name != "access_token") return absl::OkStatus();
    auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return FieldError(name, "must be a string");
    if (name == "detect") return CheckDetect(name, *text);
    if (name == "access_token") return absl::OkStatus();
    start_.session_id = std::move(*text);
    return CheckSessionId(name, *start_.session_id);
  }

  std::string type_;
  StartMessage start_;
  absl::Status start_error_;
  FrameMessage frame_;
  std::optional<uint64_t> id_;
  absl::Status frame_error_;
};

}  // namespace

absl::StatusOr<ClientMessage> ReadClientMessage(std::string_view text) {
  MessageSink sink;
  if (absl::Status status = ReadJsonObject(text, sink); !status.ok()) return status;
  return sink.Message();
}

}  // namespace emotion::gateway

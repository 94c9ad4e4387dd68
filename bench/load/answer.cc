#include "bench/load/answer.h"

#include <charconv>

#include <fmt/format.h>

namespace emotion::bench {
namespace {

// The scans below stand in for a JSON parser: the generator shares the machine with what it
// measures, and the members it looks for have names that occur once in our own answers.
std::string_view After(std::string_view json, std::string_view member) {
  const size_t at = json.find(member);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + member.size());
  const size_t value = json.find_first_not_of(": ");
  return value == std::string_view::npos ? std::string_view() : json.substr(value);
}

std::string_view TextMember(std::string_view json, std::string_view member) {
  std::string_view value = After(json, member);
  if (!value.starts_with('"')) return {};
  value.remove_prefix(1);
  return value.substr(0, value.find('"'));
}

std::optional<uint64_t> NumberMember(std::string_view json, std::string_view member) {
  const std::string_view value = After(json, member);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end == value.data()) return std::nullopt;
  return number;
}

Answer Prediction(std::string_view json) {
  Answer answer{.verdict = Verdict::kPrediction};
  if (const auto after = NumberMember(json, "\"next_frame_after_ms\"")) {
    answer.next_frame_after = std::chrono::milliseconds(*after);
  }
  const std::string_view cache = TextMember(json, "\"cache\"");
  if (cache == "exact") answer.cached = Cached::kExact;
  if (cache == "near") answer.cached = Cached::kNear;
  return answer;
}

}  // namespace

Answer AnswerOfReason(std::string_view reason) {
  Answer answer{.verdict = Verdict::kFailed, .reason = std::string(reason)};
  if (reason == "SUPERSEDED") answer.verdict = Verdict::kSuperseded;
  if (reason == "QUEUE_FULL" || reason == "RATE_LIMITED") answer.verdict = Verdict::kRefused;
  if (reason.empty()) answer.reason = "UNKNOWN";
  return answer;
}

Answer AnswerOfHttp(int status, std::string_view body) {
  if (status == 200) return Prediction(body);
  const std::string_view reason = TextMember(body, "\"reason\"");
  return AnswerOfReason(reason.empty() ? fmt::format("HTTP_{}", status) : std::string(reason));
}

SocketMessage ReadSocketMessage(std::string_view json) {
  const std::string_view type = TextMember(json, "\"type\"");
  const std::optional<uint64_t> id = NumberMember(json, "\"id\"");
  SocketMessage message{.kind = SocketMessage::Kind::kAnswer, .id = id.value_or(0)};
  if (type == "prediction") {
    message.answer = Prediction(json);
  } else if (type == "superseded") {
    message.answer = AnswerOfReason("SUPERSEDED");
  } else if (type == "error") {
    if (!id) message.kind = SocketMessage::Kind::kError;
    message.answer = AnswerOfReason(TextMember(json, "\"reason\""));
  } else if (type == "ready") {
    message.kind = SocketMessage::Kind::kReady;
  } else if (type == "draining") {
    message.kind = SocketMessage::Kind::kDraining;
    message.reconnect_after =
        std::chrono::milliseconds(NumberMember(json, "\"reconnect_after_ms\"").value_or(0));
  } else {
    message.kind = SocketMessage::Kind::kOther;
  }
  return message;
}

}  // namespace emotion::bench

// What came back for a frame, the same for every transport.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace emotion::bench {

enum class Verdict {
  kPrediction,
  kSuperseded,  // a newer frame of the session took its place
  kRefused,     // the server is full: QUEUE_FULL, RATE_LIMITED
  kFailed,      // everything else, by `reason`
};

enum class Cached { kNo, kExact, kNear };

struct Answer {
  Verdict verdict = Verdict::kFailed;
  std::string reason = {};  // of everything but predictions: "QUEUE_FULL", "HTTP_502", "CONNECTION"
  std::optional<std::chrono::milliseconds> next_frame_after = {};
  Cached cached = Cached::kNo;
};

// By a reason of the public contract ("" is an unknown failure).
Answer AnswerOfReason(std::string_view reason);

// An answer to POST /v1/predict.
Answer AnswerOfHttp(int status, std::string_view body);

// A text message of /v1/stream.
struct SocketMessage {
  enum class Kind { kAnswer, kReady, kDraining, kError, kOther };  // kError: not about a frame
  Kind kind = Kind::kOther;
  uint64_t id = 0;
  Answer answer = {};
  std::chrono::milliseconds reconnect_after{0};  // of kDraining
};
SocketMessage ReadSocketMessage(std::string_view json);

}  // namespace emotion::bench

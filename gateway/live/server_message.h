// What the server says on /v1/stream, as JSON. Members stand in a fixed order; a prediction has the
// members of POST /v1/predict's. Pure functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "emotion/v1/classifier.pb.h"

namespace emotion::gateway {

// What a frame is called on its socket.
struct FrameName {
  uint64_t id = 0;
  uint32_t face_id = 0;
};

// The model behind this gateway and how busy it is.
struct LiveState {
  std::string model;         // "": no classifier service is connected
  std::optional<bool> demo;  // unknown until a classifier service said so
  std::chrono::milliseconds next_frame_after{0};
};

struct ReadyMessage {
  std::string_view session_id;
  const LiveState& state;
  size_t max_image_bytes = 0;
  size_t max_unanswered = 0;
};

std::string Ready(const ReadyMessage& message);

// REQUIRES: result.status().code() == 0.
std::string Prediction(FrameName frame, const v1::PredictResult& result,
                       std::chrono::duration<double, std::milli> processing_time,
                       std::string_view request_id);

std::string Superseded(FrameName frame);

// `frame` absent: it is not about one. REQUIRES: !status.ok().
std::string ErrorMessage(std::optional<FrameName> frame, const absl::Status& status,
                         std::string_view request_id);

std::string ModelMessage(std::string_view model);

std::string Draining(std::chrono::milliseconds reconnect_after);

}  // namespace emotion::gateway

// What stands behind a door that takes frames: the one interface that streams (frame_server.h) and
// unary calls (frame_call.h) of both services hand their frames to.
#pragma once

#include <cstdint>
#include <functional>

#include "emotion/v1/frame.pb.h"

namespace emotion {

// Result: v1::EmbedResult or v1::PredictResult. Calls come from gRPC's threads and must not block.
template <class Result>
class FrameBackend {
 public:
  using Done = std::function<void(Result)>;

  virtual ~FrameBackend() = default;

  // Answers exactly once through `done`, on any thread, possibly before it returns; errors are in
  // the result's status. The ticket (never 0) withdraws the frame.
  virtual uint64_t Submit(v1::Frame frame, Done done) = 0;

  // Nobody waits any more. The frame is still answered, with CANCELLED or its result. Unknown and
  // answered tickets are ignored.
  virtual void Cancel(uint64_t ticket) = 0;

  virtual v1::Welcome MakeWelcome() = 0;
  virtual v1::Load MakeLoad() = 0;
};

}  // namespace emotion

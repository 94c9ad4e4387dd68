// What live sessions need of the classifier services: an interface, so that the protocol is tested
// and fuzzed without any. Safe from any thread; nothing blocks.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "emotion/v1/classifier.pb.h"
#include "gateway/live/server_message.h"

namespace emotion::gateway {

class LiveBackend {
 public:
  virtual ~LiveBackend() = default;

  // As FramePool: `done` is called exactly once, on a thread that must not be held up. Returns the
  // ticket for Cancel.
  virtual uint64_t Predict(v1::Frame frame, std::function<void(v1::PredictResult)> done) = 0;
  // The frame is still answered, with CANCELLED or its result.
  virtual void Cancel(uint64_t ticket) = 0;

  virtual LiveState State() = 0;

  // Forgets a session everywhere; `done` is called once, safe to repeat after an error.
  virtual void Forget(const v1::DeleteSessionRequest& request,
                      std::function<void(absl::Status)> done) = 0;
};

}  // namespace emotion::gateway

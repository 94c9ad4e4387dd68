// Replicas that do what a test says, frames for them, and their answers. For frame_pool_*test.cc.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/frame_pool.h"
#include "common/rpc/status.h"
#include "tests/unit/common/rpc/echo_service.h"

namespace emotion::testing {

using Pool = FramePool<EmbedHop>;
using Result = emotion::v1::EmbedResult;

inline Response WelcomeResponse(uint32_t window, const std::string& replica_id) {
  Response response;
  response.mutable_welcome()->set_protocol(1);
  response.mutable_welcome()->set_window_frames(window);
  response.mutable_welcome()->set_replica_id(replica_id);
  return response;
}

inline Response ResultResponse(uint64_t id, const absl::Status& status = absl::OkStatus()) {
  Response response;
  response.mutable_result()->set_frame_id(id);
  ToProtoStatus(status, response.mutable_result()->mutable_status());
  return response;
}

// A replica that welcomes, and does with frames and cancels what the test says.
struct FakeReplica {
  using OnFrame = std::function<void(ServerStream&, const emotion::v1::Frame&)>;

  explicit FakeReplica(OnFrame on_frame, uint32_t window = 100, const std::string& id = "r")
      : server(Script(std::move(on_frame), window, id)) {}

  ~FakeReplica() { Kill(); }

  void Kill() { server.host->Shutdown(std::chrono::steady_clock::now()); }

  StreamScript Script(OnFrame on_frame, uint32_t window, const std::string& id) {
    StreamScript script;
    script.on_message = [=, this](ServerStream& stream, Request&& request) {
      if (request.has_hello()) stream.Send(WelcomeResponse(window, id));
      if (request.has_cancel()) {
        cancels.Add(request.cancel().frame_id());
        if (on_cancel) on_cancel(stream, request.cancel().frame_id());
      }
      if (request.has_frame()) {
        frames.Add(request.frame());
        on_frame(stream, request.frame());
      }
    };
    script.on_half_close = [this](ServerStream& stream) {
      half_closes.Add(1);
      stream.Finish(grpc::Status::OK);
    };
    return script;
  }

  std::function<void(ServerStream&, uint64_t)> on_cancel;  // set before anybody connects
  Collected<emotion::v1::Frame> frames;
  Collected<uint64_t> cancels;
  Collected<int> half_closes;
  TestServer server;
};

inline void AnswerAll(ServerStream& stream, const emotion::v1::Frame& frame) {
  stream.Send(ResultResponse(frame.frame_id()));
}
inline void AnswerNone(ServerStream&, const emotion::v1::Frame&) {}

inline FramePoolOptions To(const std::vector<std::string>& targets) {
  FramePoolOptions options;
  options.targets = targets;
  options.start_grace = kPatience;
  return options;
}

inline emotion::v1::Frame MakeFrame(uint64_t id, uint32_t timeout_ms = 20'000) {
  emotion::v1::Frame frame;
  frame.set_frame_id(id);
  frame.set_timeout_ms(timeout_ms);
  frame.set_encoded_image("image");
  return frame;
}

inline Reason ReasonIn(const Result& result) { return ReasonOf(FromProtoStatus(result.status())); }

// Submits and collects.
struct Answers {
  Collected<Result> results;
  Pool::Callback Taker() {
    return [this](Result result) { results.Add(std::move(result)); };
  }
};

}  // namespace emotion::testing

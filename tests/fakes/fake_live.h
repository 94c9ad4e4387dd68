// Both neighbours of a live session, without sockets and services: what it sends is kept, frames
// are answered by the test. Everything runs on the test's thread; posted work when Run is called.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/status.h"
#include "gateway/http/web_socket.h"
#include "gateway/live/live_backend.h"

namespace emotion::testing {

class FakeWebSocket final : public gateway::WebSocket {
 public:
  void Post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  void Send(std::string text) override {
    if (!close_code) sent.push_back(std::move(text));
  }
  void Close(uint16_t code, std::string_view /*reason*/) override {
    if (!close_code) close_code = code;
  }

  void Run() {
    while (!posted_.empty()) {
      const auto work = std::move(posted_.front());
      posted_.pop_front();
      work();
    }
  }

  std::vector<std::string> sent;
  std::optional<uint16_t> close_code;

 private:
  std::deque<std::function<void()>> posted_;
};

class FakeLiveBackend final : public gateway::LiveBackend {
 public:
  using Done = std::function<void(v1::PredictResult)>;

  uint64_t Predict(v1::Frame frame, Done done) override {
    frames.push_back(std::move(frame));
    waiting[++last_ticket] = std::move(done);
    return last_ticket;
  }
  void Cancel(uint64_t ticket) override {
    cancelled.push_back(ticket);
    Answer(ticket, absl::CancelledError("withdrawn"));
  }
  gateway::LiveState State() override { return state; }
  void Forget(const v1::DeleteSessionRequest& request,
              std::function<void(absl::Status)> done) override {
    forgotten.push_back(request);
    done(forget_status);
  }

  void Answer(uint64_t ticket, const absl::Status& status = absl::OkStatus()) {
    auto node = waiting.extract(ticket);
    if (node.empty()) return;
    v1::PredictResult result;
    ToProtoStatus(status, result.mutable_status());
    node.mapped()(std::move(result));
  }

  gateway::LiveState state{.model = "m1", .demo = true, .next_frame_after = {}};
  absl::Status forget_status;
  std::vector<v1::Frame> frames;
  std::map<uint64_t, Done> waiting;
  std::vector<uint64_t> cancelled;
  std::vector<v1::DeleteSessionRequest> forgotten;
  uint64_t last_ticket = 0;
};

}  // namespace emotion::testing

// One socket of /v1/stream: the protocol emotion.v1 without the socket.
//
// Messages are described in client_message.h and server_message.h. Rules:
// - The first start opens the session; a frame before it opens one with a random id.
// - A frame message and the next binary message are one frame; a binary message alone is a frame
//   with the next id and face 0. An id that is not answered yet cannot be used again.
// - A later frame is newer: sequence is this gateway's clock in microseconds, strictly increasing.
// - Every frame is answered exactly once, in any order; what is wrong with one is a message and
//   never a close. Text that is no JSON object closes with 1003.
// - A socket that ends withdraws its frames. Its session is forgotten some time later, unless the
//   start said otherwise or the gateway was draining.
// Runs on the strand of its socket (web_socket.h), so it has no locks.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "gateway/http/message.h"
#include "gateway/http/web_socket.h"
#include "gateway/live/client_message.h"
#include "gateway/live/live_hub.h"
#include "gateway/live/server_message.h"

namespace emotion::gateway {

class LiveSession final : public WebSocketHandler,
                          public std::enable_shared_from_this<LiveSession> {
 public:
  // `hub` outlives it. Made by LiveHub::Open.
  LiveSession(LiveHub& hub, const Request& request, std::weak_ptr<WebSocket> socket);

  void OnText(std::string_view text) override;
  void OnBinary(std::string image, std::unique_ptr<BodyCharge> charge) override;
  void OnDropped(Dropped why, size_t bytes) override;
  void OnDrain() override;
  void OnStop() override;
  void OnClosed(const SocketEnd& end) override;

  // Any thread: the model is this one now.
  void PostModel(std::shared_ptr<const std::string> model);

 private:
  // A frame message that waits for its image.
  struct Announced {
    FrameName name;
    bool refused = false;  // answered already: its image is not used
  };
  // A frame that is not answered yet.
  struct Unanswered {
    FrameName name;
    uint64_t ticket = 0;
    uint64_t accepted_at_us = 0;
    std::chrono::steady_clock::time_point started;
    std::string request_id;
    std::unique_ptr<BodyCharge> charge;
  };
  struct Counts {
    uint64_t frames = 0;
    uint64_t predictions = 0;
    uint64_t superseded = 0;
    uint64_t errors = 0;
  };

  void Take(const StartMessage& start);
  void Take(const FrameMessage& frame);
  void Take(const RefusedMessage& refused);
  void Begin(std::string session_id, bool forget_on_close);
  void BeginUnlessBegun();
  void Announce(FrameName name, bool refused);
  // The frame that an image belongs to; nullopt: to one that was refused.
  std::optional<FrameName> NextFrame();
  absl::Status Admit(size_t image_bytes) const;
  void Submit(FrameName name, std::string image, std::unique_ptr<BodyCharge> charge);
  v1::Frame MakeFrame(FrameName name, std::string image, const std::string& request_id);
  void Answer(uint64_t id, const v1::PredictResult& result);
  void Refuse(std::optional<FrameName> name, const absl::Status& status);
  void TellModel(const std::string& model);
  void Send(std::string text);
  void Close(uint16_t code, std::string_view reason);
  void Record(const SocketEnd& end) const;

  LiveHub& hub_;
  // Weak, or a socket that never ends would keep itself.
  const std::weak_ptr<WebSocket> socket_;
  const std::string address_;
  const std::string request_id_;
  const std::string traceparent_;
  const std::chrono::steady_clock::time_point started_;

  std::string session_id_;  // empty: not begun
  IdentityKeys keys_;
  bool forget_on_close_ = true;
  std::optional<Announced> announced_;
  std::optional<uint64_t> last_id_;
  uint64_t sequence_ = 0;
  std::map<uint64_t, Unanswered> unanswered_;
  std::string told_model_;
  Counts counts_;
  bool draining_ = false;
  bool stopping_ = false;
  bool ended_ = false;
};

}  // namespace emotion::gateway

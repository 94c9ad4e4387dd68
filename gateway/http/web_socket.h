// A WebSocket as the application sees it, without any socket: the transport (web_socket_connection)
// implements WebSocket and calls a WebSocketHandler.
//
// Everything about one socket runs on its strand: one call at a time, in order, so a handler needs
// no locks. Only Post may be called from elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/http/body_charge.h"

namespace emotion::gateway {

// Close codes of RFC 6455 and the IANA registry.
namespace close_code {
inline constexpr uint16_t kNormal = 1000;
inline constexpr uint16_t kGoingAway = 1001;
inline constexpr uint16_t kProtocolError = 1002;
inline constexpr uint16_t kUnsupportedData = 1003;
inline constexpr uint16_t kNoStatus = 1005;  // the client's close frame had no code
inline constexpr uint16_t kAbnormal = 1006;  // never on the wire: ended without a close frame
inline constexpr uint16_t kBadPayload = 1007;
inline constexpr uint16_t kPolicy = 1008;
inline constexpr uint16_t kTooBig = 1009;
inline constexpr uint16_t kInternal = 1011;
inline constexpr uint16_t kServiceRestart = 1012;
inline constexpr uint16_t kTryAgainLater = 1013;
inline constexpr uint16_t kIdle = 3008;
}  // namespace close_code

// How a socket ended.
struct SocketEnd {
  uint16_t code = close_code::kAbnormal;
  // "client", "server" (a close frame of one of them came first), "lost" (the client vanished),
  // "slow_reader", "aborted" (the server ran out of patience).
  std::string_view by = "lost";
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;

  // Runs `work` on the strand, soon, even when the socket has ended meanwhile. Any thread.
  virtual void Post(std::function<void()> work) = 0;

  // Queues a text message. A client that lets too many bytes wait is cut off. Nothing is sent after
  // Close. The handler is never called from inside.
  virtual void Send(std::string text) = 0;

  // Writes what is queued, then the close frame. The first call counts. `reason`: at most 123
  // bytes.
  virtual void Close(uint16_t code, std::string_view reason) = 0;
};

class WebSocketHandler {
 public:
  // Why a binary message was read and thrown away.
  enum class Dropped {
    kTooLarge,  // over WebSocketLimits::binary_bytes
    kNoRoom,    // all bodies in flight together hold too much
  };

  virtual ~WebSocketHandler() = default;

  virtual void OnText(std::string_view text) = 0;  // valid UTF-8
  // `charge` counts the bytes as in flight for as long as it is kept.
  virtual void OnBinary(std::string bytes, std::unique_ptr<BodyCharge> charge) = 0;
  virtual void OnDropped(Dropped why, size_t bytes) = 0;

  // The server will stop soon; this socket is served until OnStop.
  virtual void OnDrain() = 0;
  // No message will come any more: answer what is left, then Close(kServiceRestart).
  virtual void OnStop() = 0;

  // The last call, exactly once.
  virtual void OnClosed(const SocketEnd& end) = 0;
};

}  // namespace emotion::gateway

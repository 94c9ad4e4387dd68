// The message of a WebSocket that is being read, in pieces, without any socket.
//
// Memory follows what has arrived: what a frame's header only claims is not allocated, and an idle
// socket waits with half a kilobyte. What has arrived is charged against what all bodies in flight
// hold. A message that is thrown away is read to its end and holds nothing.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "gateway/http/body_charge.h"
#include "gateway/http/limits.h"
#include "gateway/http/web_socket.h"

namespace emotion::gateway {

class IncomingMessage {
 public:
  using Clock = std::chrono::steady_clock;
  using Dropped = WebSocketHandler::Dropped;

  // A text that is too large, or for which there is no room, ends its socket; a binary message is
  // thrown away.
  enum class Verdict { kGoOn, kTextTooLarge, kTextNoRoom };

  struct Whole {
    std::string bytes;               // empty when it was thrown away
    std::optional<Dropped> dropped;  // set when it was
    size_t size = 0;                 // of all that arrived
    std::unique_ptr<BodyCharge> charge;
  };

  // `limits` and `in_flight` (the bytes of all bodies) outlive it.
  IncomingMessage(const WebSocketLimits& limits, std::atomic<size_t>& in_flight,
                  size_t most_in_flight)
      : limits_(limits), in_flight_(in_flight), most_in_flight_(most_in_flight) {}

  // Where the next bytes go; `hint`: how many are expected, if that is known.
  std::span<char> Room(size_t hint);

  // So many bytes have arrived in Room. REQUIRES: not more than there was room.
  Verdict Add(size_t bytes, bool text, Clock::time_point now);

  // From now on its bytes are thrown away.
  void Drop(Dropped why);

  // It has ended: hands it over, and the next one may begin.
  Whole Take();

  // Gives up what is held; for a socket that has ended.
  void Release();

  bool begun() const { return begun_; }
  bool dropped() const { return dropped_.has_value(); }
  size_t size() const { return size_; }               // that arrived so far, thrown away or not
  Clock::time_point since() const { return since_; }  // REQUIRES: begun()

 private:
  const WebSocketLimits& limits_;
  std::atomic<size_t>& in_flight_;
  const size_t most_in_flight_;

  std::array<char, 512> first_{};  // its first bytes
  std::string bytes_;
  size_t filled_ = 0;  // of bytes_ that have arrived; the rest is room
  size_t size_ = 0;
  bool begun_ = false;
  Clock::time_point since_;
  std::optional<Dropped> dropped_;
  std::unique_ptr<BodyCharge> charge_;
};

}  // namespace emotion::gateway

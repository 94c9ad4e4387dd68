// A WebSocket client of plain sockets that can break every rule: frames are written as the test
// says, pings are answered or not. Every wait ends after 10 s.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "tests/fakes/raw_http_client.h"

namespace emotion::testing {

class RawWebSocketClient {
 public:
  enum Opcode : uint8_t {
    kContinuation = 0,
    kText = 1,
    kBinary = 2,
    kClose = 8,
    kPing = 9,
    kPong = 10
  };
  struct Message {
    Opcode opcode = kClose;
    std::string payload;
  };

  static std::string Handshake(std::string_view fields = "", std::string_view version = "13") {
    return "GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: " +
           std::string(version) + "\r\n" + std::string(fields) + "\r\n";
  }

  explicit RawWebSocketClient(int port, std::string_view fields = "") : http_(port) {
    handshake = http_.Ask(Handshake(fields), /*head_only=*/true);
  }

  HttpAnswer handshake;
  bool answer_pings = true;
  int pings = 0;

  RawHttpClient& raw() { return http_; }
  void Vanish() { http_.Close(); }

  bool SendFrame(uint8_t opcode, std::string_view payload, bool fin = true, bool masked = true) {
    std::string frame(1, static_cast<char>((fin ? 0x80 : 0) | opcode));
    const char mask_bit = masked ? static_cast<char>(0x80) : '\0';
    if (payload.size() < 126) {
      frame += static_cast<char>(mask_bit | static_cast<char>(payload.size()));
    } else {
      const bool wide = payload.size() > 0xFFFF;
      frame += static_cast<char>(mask_bit | (wide ? 127 : 126));
      for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8) {
        frame += static_cast<char>(static_cast<uint64_t>(payload.size()) >> shift);
      }
    }
    constexpr std::string_view kMask = "mask";
    if (masked) frame += kMask;
    const size_t begin = frame.size();
    frame += payload;
    for (size_t i = 0; masked && i < payload.size(); ++i) {
      frame[begin + i] = static_cast<char>(frame[begin + i] ^ kMask[i % 4]);
    }
    return http_.Send(frame);
  }
  bool SendText(std::string_view text) { return SendFrame(kText, text); }
  bool SendBinary(std::string_view bytes) { return SendFrame(kBinary, bytes); }
  bool SendFrameOf(uint64_t id, std::string_view image, int face_id = 0) {
    return SendText(R"({"type":"frame","id":)" + std::to_string(id) + R"(,"face_id":)" +
                    std::to_string(face_id) + "}") &&
           SendBinary(image);
  }
  bool SendClose(uint16_t code) {
    const char bytes[] = {static_cast<char>(code >> 8), static_cast<char>(code)};
    return SendFrame(kClose, {bytes, sizeof(bytes)});
  }

  // The next message or close frame; nullopt: the connection ended without one.
  std::optional<Message> Read() {
    while (true) {
      std::string head;
      if (!http_.ReadExactly(2, head)) return std::nullopt;
      const auto opcode = static_cast<Opcode>(head[0] & 0x0F);
      uint64_t size = static_cast<uint8_t>(head[1]) & 0x7F;
      if (size >= 126) {
        std::string more;
        if (!http_.ReadExactly(size == 126 ? 2 : 8, more)) return std::nullopt;
        size = 0;
        for (const char byte : more) size = size << 8 | static_cast<uint8_t>(byte);
      }
      Message message{.opcode = opcode, .payload = {}};
      if (!http_.ReadExactly(size, message.payload)) return std::nullopt;
      if (opcode == kPing) {
        ++pings;
        if (answer_pings) SendFrame(kPong, message.payload);
      } else if (opcode != kPong) {
        return message;
      }
    }
  }

  // The code of the close frame behind what else comes; 1006: the connection ended without one. The
  // close is answered, and the connection ended.
  int ReadCloseCode() {
    while (const auto message = Read()) {
      if (message->opcode != kClose) continue;
      SendFrame(kClose, message->payload);
      http_.Close();
      if (message->payload.size() < 2) return 1005;
      return static_cast<uint8_t>(message->payload[0]) << 8 |
             static_cast<uint8_t>(message->payload[1]);
    }
    return 1006;
  }

 private:
  RawHttpClient http_;
};

}  // namespace emotion::testing

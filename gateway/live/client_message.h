// What a client says on /v1/stream: one JSON object per text message.
//
//   {"type":"start","session_id","access_token","detect","forget_on_close"}
//   {"type":"frame","id","face_id"}        the next binary message is its image
//
// Unknown members are ignored, null is as absent. A pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"

namespace emotion::gateway {

// access_token is read and dropped: nobody has to sign in.
struct StartMessage {
  std::optional<std::string> session_id;  // valid
  bool forget_on_close = true;
};

struct FrameMessage {
  uint64_t id = 0;
  uint32_t face_id = 0;
};

// An object that this protocol does not allow: what is wrong, and the frame it is about, as far as
// it could be read. `is_frame`: an image may follow, which is not to be used.
struct RefusedMessage {
  absl::Status status;
  bool is_frame = false;
  std::optional<uint64_t> id;
  uint32_t face_id = 0;
};

using ClientMessage = std::variant<StartMessage, FrameMessage, RefusedMessage>;

// An error only for what is no JSON object as json_reader.h takes one.
absl::StatusOr<ClientMessage> ReadClientMessage(std::string_view text);

}  // namespace emotion::gateway

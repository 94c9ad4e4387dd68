// Whether a request may become a WebSocket (RFC 6455, section 4.2). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/http/message.h"

namespace emotion::gateway {

struct Upgrade {
  std::optional<Response> refusal;  // 426 without (or with another) upgrade, 400 for a broken one
  std::string subprotocol;          // to echo; "" when the client offered none
};

// `spoken`: the one subprotocol of this server. A client that offers subprotocols must offer it;
// one that offers none is taken to speak it.
Upgrade CheckUpgrade(const Request& request, std::string_view spoken);

}  // namespace emotion::gateway

#include "tests/integration/gateway/stream_fixture.h"

#include "nlohmann/json.hpp"

namespace emotion::gateway {

json Client::ReadJson() {
  const auto message = Read();
  if (!message || message->opcode != kText) return nullptr;
  return json::parse(message->payload);
}

json Client::ReadOf(std::string_view type) {
  while (true) {
    json message = ReadJson();
    if (message.is_null() || message["type"] == type) return message;
  }
}

}  // namespace emotion::gateway

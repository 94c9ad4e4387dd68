#include "tests/integration/gateway/gateway_fixture.h"

#include "nlohmann/json.hpp"

namespace emotion::gateway {

uint32_t LevelIn(const HttpAnswer& answer) {
  return json::parse(answer.body)["predictions"]["Engagement"]["level"];
}

}  // namespace emotion::gateway

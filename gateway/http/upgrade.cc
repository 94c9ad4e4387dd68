#include "gateway/http/upgrade.h"

#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/json_codec/base64.h"

namespace emotion::gateway {
namespace {

constexpr std::string_view kVersion = "13";
constexpr size_t kKeyBytes = 16;

Response UpgradeRequired(const Request& request) {
  Response response =
      HttpProblem(426, "This path speaks WebSocket, version 13.", request.request_id);
  response.headers.Add("Upgrade", "websocket");
  response.headers.Add("Sec-WebSocket-Version", kVersion);
  return response;
}

bool HasGoodKey(const Request& request) {
  const auto key = request.headers.Find("Sec-WebSocket-Key");
  if (!key || request.headers.Count("Sec-WebSocket-Key") != 1) return false;
  const auto bytes = DecodeBase64(TrimSpace(*key));
  return bytes && bytes->size() == kKeyBytes;
}

}  // namespace

Upgrade CheckUpgrade(const Request& request, std::string_view spoken) {
  const Headers& headers = request.headers;
  const bool asks = request.method == "GET" && headers.HasToken("Upgrade", "websocket") &&
                    headers.HasToken("Connection", "upgrade");
  if (!asks || headers.Find("Sec-WebSocket-Version") != kVersion) {
    return {.refusal = UpgradeRequired(request), .subprotocol = {}};
  }
  if (!HasGoodKey(request)) {
    return {.refusal = HttpProblem(400, "Sec-WebSocket-Key must be 16 bytes in base64, once.",
                                   request.request_id),
            .subprotocol = {}};
  }
  if (headers.HasToken("Sec-WebSocket-Protocol", spoken)) {
    return {.refusal = {}, .subprotocol = std::string(spoken)};
  }
  if (headers.Count("Sec-WebSocket-Protocol") == 0) return {};
  return {.refusal = HttpProblem(400, fmt::format("The only subprotocol here is {}.", spoken),
                                 request.request_id),
          .subprotocol = {}};
}

}  // namespace emotion::gateway

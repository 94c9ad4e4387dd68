// The rules of the transport that need no socket.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include <catch2/catch.hpp>

#include "gateway/http/flood_guard.h"
#include "gateway/http/incoming_message.h"
#include "gateway/http/open_sockets.h"
#include "gateway/http/upgrade.h"
#include "gateway/security/cors.h"

namespace emotion::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Request Asking(std::vector<std::pair<std::string, std::string>> changes = {}) {
  Request request;
  request.method = "GET";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"Connection", "keep-alive, Upgrade"},
           {"Upgrade", "WebSocket"},
           {"Sec-WebSocket-Version", "13"},
           {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}}) {
    request.headers.Add(name, value);
  }
  for (const auto& [name, value] : changes) request.headers.Set(name, value);
  return request;
}

int StatusOf(const Request& request) {
  const Upgrade upgrade = CheckUpgrade(request, "emotion.v1");
  return upgrade.refusal ? upgrade.refusal->status : 101;
}

TEST_CASE("an upgrade needs its fields, and says which status refuses it") {
  CHECK(StatusOf(Asking()) == 101);
  CHECK(StatusOf(Request{}) == 426);
  CHECK(StatusOf(Asking({{"Connection", "keep-alive"}})) == 426);
  CHECK(StatusOf(Asking({{"Upgrade", "h2c"}})) == 426);
  CHECK(StatusOf(Asking({{"Sec-WebSocket-Version", "8"}})) == 426);
  CHECK(StatusOf(Asking({{"Sec-WebSocket-Key", "short"}})) == 400);
  CHECK(StatusOf(Asking({{"Sec-WebSocket-Key", "AAAA"}})) == 400);
  Request post = Asking();
  post.method = "POST";
  CHECK(StatusOf(post) == 426);
  Request two_keys = Asking();
  two_keys.headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  CHECK(StatusOf(two_keys) == 400);
}

TEST_CASE("the subprotocol is echoed when offered, and needed when others are") {
  CHECK(CheckUpgrade(Asking(), "emotion.v1").subprotocol.empty());
  CHECK(CheckUpgrade(Asking({{"Sec-WebSocket-Protocol", "bearer.x, emotion.v1"}}), "emotion.v1")
            .subprotocol == "emotion.v1");
  CHECK(StatusOf(Asking({{"Sec-WebSocket-Protocol", "emotion.v2"}})) == 400);
}

TEST_CASE("pages of our own and of listed origins may connect, others not") {
  const auto may = [](const Cors& cors, const char* origin) {
    Request request;
    request.headers.Add("Host", "emotion.example:8000");
    if (origin != nullptr) request.headers.Add("Origin", origin);
    return cors.MayConnect(request);
  };
  const Cors listed = Cors::Create({"https://page.example"}).value();
  CHECK(may(listed, nullptr));
  CHECK(may(listed, "https://page.example"));
  CHECK(may(listed, "https://emotion.example:8000"));
  CHECK(may(listed, "http://Emotion.Example:8000"));
  CHECK_FALSE(may(listed, "https://emotion.example"));
  CHECK_FALSE(may(listed, "https://evil.example"));
  CHECK_FALSE(may(listed, "ftp://emotion.example:8000"));
  CHECK_FALSE(may(listed, "null"));
  CHECK_FALSE(may(listed, ""));
  CHECK(may(Cors::Create({"*"}).value(), "https://any.example"));
  Request twice;
  twice.headers.Add("Host", "x");
  twice.headers.Add("Origin", "http://x");
  twice.headers.Add("Origin", "http://evil");
  CHECK_FALSE(listed.MayConnect(twice));
}

// Bytes of one message, given in pieces as Room takes them.
struct Incoming {
  WebSocketLimits limits = [] {
    WebSocketLimits small;
    small.text_bytes = 1000;
    small.binary_bytes = 100'000;
    return small;
  }();
  std::atomic<size_t> in_flight{0};
  size_t most_room = 0;
  IncomingMessage message{limits, in_flight, /*most_in_flight=*/150'000};

  IncomingMessage::Verdict Give(std::string_view bytes, bool text = false) {
    auto verdict = IncomingMessage::Verdict::kGoOn;
    while (!bytes.empty() && verdict == IncomingMessage::Verdict::kGoOn) {
      const std::span<char> room = message.Room(SIZE_MAX);
      most_room = std::max(most_room, room.size());
      const size_t count = std::min(room.size(), bytes.size());
      std::copy_n(bytes.begin(), count, room.begin());
      bytes.remove_prefix(count);
      verdict = message.Add(count, text, steady_clock::now());
    }
    return verdict;
  }
};

TEST_CASE("a message comes out as it came in, whatever its pieces, and then the next one") {
  Incoming incoming;
  for (const size_t size : {0, 1, 511, 512, 513, 70'000}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7);
    CHECK_FALSE(incoming.message.begun());
    incoming.Give(bytes);
    CHECK(incoming.message.begun() == (size > 0));
    CHECK(incoming.in_flight == size);
    IncomingMessage::Whole whole = incoming.message.Take();
    CHECK(whole.bytes == bytes);
    CHECK(whole.size == size);
    CHECK_FALSE(whole.dropped);
    CHECK(incoming.in_flight == size);  // for as long as the charge is kept
    whole.charge.reset();
    CHECK(incoming.in_flight == 0);
  }
  CHECK(incoming.most_room <= 64 * 1024);
}

TEST_CASE("a binary message that is too large holds nothing and is told with its size") {
  Incoming incoming;
  incoming.Give(std::string(250'000, 'x'));
  CHECK(incoming.message.dropped());
  CHECK(incoming.in_flight == 0);
  const IncomingMessage::Whole whole = incoming.message.Take();
  CHECK(whole.dropped == WebSocketHandler::Dropped::kTooLarge);
  CHECK(whole.size == 250'000);
  CHECK(whole.bytes.empty());
  CHECK(whole.charge == nullptr);
  incoming.Give("next");
  CHECK(incoming.message.Take().bytes == "next");
}

TEST_CASE("where all bodies in flight hold too much a binary message is dropped, a text refused") {
  Incoming incoming;
  incoming.in_flight = 149'990;
  incoming.Give(std::string(11, 'x'));
  CHECK(incoming.message.Take().dropped == WebSocketHandler::Dropped::kNoRoom);
  CHECK(incoming.Give(std::string(11, 'x'), true) == IncomingMessage::Verdict::kTextNoRoom);
  incoming.message.Take();
  CHECK(incoming.in_flight == 149'990);
  CHECK(incoming.Give(std::string(10, 'x'), true) == IncomingMessage::Verdict::kGoOn);
}

TEST_CASE("a text over its limit is refused as soon as it is") {
  Incoming incoming;
  CHECK(incoming.Give(std::string(1000, 'x'), true) == IncomingMessage::Verdict::kGoOn);
  CHECK(incoming.Give("x", true) == IncomingMessage::Verdict::kTextTooLarge);
}

TEST_CASE("a flood is what exceeds burst and rate") {
  const auto start = steady_clock::time_point{};
  FloodGuard guard(10, 5, start);
  for (int i = 0; i < 5; ++i) CHECK(guard.Take(start));
  CHECK_FALSE(guard.Take(start));
  CHECK(guard.Take(start + milliseconds(100)));
  CHECK_FALSE(guard.Take(start + milliseconds(150)));
  const auto later = start + std::chrono::hours(1);
  for (int i = 0; i < 5; ++i) CHECK(guard.Take(later));
  CHECK_FALSE(guard.Take(later));
}

class CountingSocket final : public OpenSocket {
 public:
  void BeginDrain() override { ++drains; }
  void Shut() override {}
  void Abort() override {}
  int drains = 0;
};

TEST_CASE(
    "sockets are counted in all and per group, and heard of as long as they hold their slot") {
  OpenSockets sockets(3, 2);
  auto a1 = sockets.Enter("a");
  auto a2 = sockets.Enter("a");
  REQUIRE((a1 && a2));
  CHECK_FALSE(sockets.Enter("a"));
  auto b1 = sockets.Enter("b");
  CHECK_FALSE(sockets.Enter("c"));
  const auto http = std::make_shared<CountingSocket>();
  const auto upgraded = std::make_shared<CountingSocket>();
  a1->Bind(http);
  a1->Bind(upgraded);
  sockets.ForEach([](OpenSocket& socket) { socket.BeginDrain(); });
  CHECK(http->drains == 0);
  CHECK(upgraded->drains == 1);
  OpenSockets::Slot moved = *std::move(a1);
  a1.reset();
  CHECK(sockets.size() == 3);
  CHECK_FALSE(sockets.WaitForNone(steady_clock::now()));
  moved.Leave();
  moved.Leave();
  a2.reset();
  b1.reset();
  CHECK(sockets.WaitForNone(steady_clock::now()));
  CHECK(sockets.Enter("a"));
}

}  // namespace
}  // namespace emotion::gateway

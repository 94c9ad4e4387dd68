// /v1/stream and clients that break the rules: sizes, floods, silence, slowness, too many of them.
#include <chrono>
#include <set>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "nlohmann/json.hpp"
#include "tests/integration/gateway/stream_fixture.h"

namespace emotion::gateway {
namespace {

TEST_CASE("an image somewhat too large is an error, one far too large closes the socket") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendFrameOf(1, std::string(kMaxImage, 'x'));
  CHECK(client.ReadOf("prediction")["id"] == 1);
  client.SendFrameOf(2, std::string(kMaxImage + 1, 'x'));
  const json error = client.ReadOf("error");
  CHECK(error["id"] == 2);
  CHECK(error["problem"]["reason"] == "IMAGE_TOO_LARGE");
  CHECK(error["problem"]["status"] == 413);
  client.SendFrameOf(3, "");
  CHECK(client.ReadOf("error")["problem"]["reason"] == "FIELD_INVALID");
  client.SendBinary("next");
  CHECK(client.ReadOf("prediction")["id"] == 4);
  client.SendBinary(std::string(1 << 20, 'x'));
  CHECK(client.ReadCloseCode() == 1009);
}

TEST_CASE("what is no message of this protocol closes with its code") {
  Fixture fixture;
  const auto code_after = [&](const auto& send) {
    Client client = fixture.Connect();
    send(client);
    return client.ReadCloseCode();
  };
  CHECK(code_after([](Client& c) { c.SendText("hello"); }) == 1003);
  CHECK(code_after([](Client& c) { c.SendText("[]"); }) == 1003);
  CHECK(code_after([](Client& c) { c.SendText(""); }) == 1003);
  CHECK(code_after([](Client& c) { c.SendText("{\"a\":\"\xff\"}"); }) == 1007);
  CHECK(code_after([](Client& c) { c.SendText(std::string(17000, ' ')); }) == 1009);
  CHECK(code_after([](Client& c) { c.SendFrame(Client::kText, "{}", true, false); }) == 1002);
  CHECK(code_after([](Client& c) { c.SendFrame(3, "reserved"); }) == 1002);
  CHECK(code_after([](Client& c) { c.SendFrame(Client::kContinuation, "of what"); }) == 1002);
  CHECK(code_after([](Client& c) { c.SendFrame(Client::kPing, "half", false); }) == 1002);
  CHECK(code_after([](Client& c) { c.SendFrame(Client::kPing, std::string(126, 'x')); }) == 1002);
  const std::string sixteen = R"({"type":"start","x":")" + std::string(16 * 1024 - 23, 'x') + "\"}";
  REQUIRE(sixteen.size() == 16 * 1024);
  Client client = fixture.Connect();
  client.SendText(sixteen);
  CHECK(client.ReadJson()["type"] == "ready");
  CHECK(Eventually([&] { return fixture.server->connections() <= 1; }));
}

TEST_CASE("a message in pieces, with a ping between them, is one message") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendText(R"({"type":"frame","id":9})");
  client.SendFrame(Client::kBinary, "in", false);
  client.SendFrame(Client::kPing, "alive?");
  client.SendFrame(Client::kContinuation, "", false);
  client.SendFrame(Client::kContinuation, " pieces", true);
  const json answer = client.ReadOf("prediction");
  CHECK(answer["id"] == 9);
  CHECK(answer["predictions"]["Engagement"]["level"] == LevelOfBytes("in pieces"));
}

TEST_CASE("a client that floods is sent away, with messages and with pings") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.messages_per_second = 10;
  options.http.web_socket.message_burst = 20;
  Fixture fixture(std::move(options));
  Client text = fixture.Connect();
  for (int i = 0; i < 21; ++i) text.SendText(R"({"type":"start"})");
  CHECK(text.ReadCloseCode() == 1008);
  Client pings = fixture.Connect();
  for (int i = 0; i < 21; ++i) pings.SendFrame(Client::kPing, "x");
  CHECK(pings.ReadCloseCode() == 1008);
  CHECK(fixture.Counted(
      R"(emotion_requests_total{code="RESOURCE_EXHAUSTED",method="/v1/stream",service="gateway"} 2)"));
}

TEST_CASE("a client that does not answer pings is idle, one that does is not") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.ping_period = milliseconds(60);
  options.http.web_socket.pong_timeout = milliseconds(120);
  Fixture fixture(std::move(options));
  Client silent = fixture.Connect();
  silent.answer_pings = false;
  Client alive = fixture.Connect();
  alive.SendText(R"({"type":"start"})");
  CHECK(alive.ReadJson()["type"] == "ready");
  json news;
  std::thread reader([&] { news = alive.ReadJson(); });  // answers the pings meanwhile
  CHECK(silent.ReadCloseCode() == 3008);
  CHECK(silent.pings == 1);
  std::this_thread::sleep_for(milliseconds(400));
  fixture.fake().ChangeModel("another");
  reader.join();
  CHECK(news["type"] == "model");
  CHECK(alive.pings >= 3);
}

TEST_CASE("a client that hangs after our close frame is cut off") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.close_timeout = milliseconds(150);
  Fixture fixture(std::move(options));
  Client client = fixture.Connect();
  client.SendText("no JSON");
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
}

TEST_CASE("a client that stops reading is cut off, its answers are never kept without bound") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.messages_per_second = 1e9;
  options.http.web_socket.message_burst = 1e9;
  options.http.web_socket.kernel_send_bytes = 8 * 1024;
  const bool by_age = GENERATE(false, true);
  options.http.web_socket.queued_bytes = by_age ? size_t{1} << 30 : 16 * 1024;
  options.http.web_socket.queued_age = milliseconds(by_age ? 200 : 60'000);
  Fixture fixture(std::move(options));
  Client client = fixture.Connect();
  client.SendText(R"({"type":"start"})");
  int sent = 0;
  while (sent < 100'000 && client.SendFrameOf(sent, "image")) ++sent;
  CHECK(sent < 100'000);
  CHECK(fixture.Counted(
      R"(emotion_requests_total{code="RESOURCE_EXHAUSTED",method="/v1/stream",service="gateway"} 1)"));
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
}

TEST_CASE("a message that comes too slowly ends its socket") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.body_timeout = milliseconds(100);
  options.http.web_socket.queued_age = milliseconds(40);  // looks every 20 ms
  Fixture fixture(std::move(options));
  Client client = fixture.Connect();
  client.raw().Send("\x82\xfe\x03\xe8mask-only the beginning of a thousand bytes");
  CHECK(client.ReadCloseCode() == 1008);
}

TEST_CASE("images that are on their way count against one bound, until they are answered") {
  GatewayOptions options = SmallOptions();
  options.http.bodies_in_flight_bytes = 1500;
  Fixture fixture(std::move(options));
  Client client = fixture.Connect();
  client.SendFrameOf(1, "held" + std::string(996, 'x'));
  fixture.fake().WaitForHeld(1);
  client.SendFrameOf(2, std::string(600, 'y'));
  const json error = client.ReadOf("error");
  CHECK(error["id"] == 2);
  CHECK(error["problem"]["reason"] == "QUEUE_FULL");
  fixture.fake().ReleaseHeld();
  CHECK(client.ReadOf("prediction")["id"] == 1);
  client.SendFrameOf(3, std::string(600, 'z'));
  CHECK(client.ReadOf("prediction")["id"] == 3);
}

TEST_CASE("one socket too many is let in to be told so") {
  GatewayOptions options = SmallOptions();
  options.http.web_socket.sockets = 2;
  Fixture fixture(std::move(options));
  Client one = fixture.Connect();
  auto two = std::make_unique<Client>(fixture.port());
  Client three = fixture.Connect();
  CHECK(three.handshake.status == 101);
  CHECK(three.ReadCloseCode() == 1013);
  CHECK(RawHttpClient(fixture.port()).Ask(GetRequest("/health/live")).status == 200);
  two.reset();
  CHECK(Eventually([&] {
    Client next = fixture.Connect();
    next.SendText(R"({"type":"start"})");
    return !next.ReadJson().is_null();
  }));
}

TEST_CASE("frames over the number that may be unanswered are refused") {
  GatewayOptions options = SmallOptions();
  options.max_unanswered = 3;
  Fixture fixture(std::move(options));
  Client client = fixture.Connect();
  for (int i = 1; i <= 4; ++i) client.SendFrameOf(i, "held");
  const json error = client.ReadOf("error");
  CHECK(error["id"] == 4);
  CHECK(error["problem"]["reason"] == "QUEUE_FULL");
  fixture.fake().WaitForHeld(3);
  fixture.fake().ReleaseHeld();
  std::set<int> answered;
  for (int i = 0; i < 3; ++i) answered.insert(client.ReadOf("prediction")["id"].get<int>());
  CHECK(answered == std::set<int>{1, 2, 3});
}

}  // namespace
}  // namespace emotion::gateway

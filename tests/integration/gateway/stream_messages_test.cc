// /v1/stream, as a client sees it that keeps the rules: handshake, messages, answers,
// announcements.
#include <chrono>
#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "nlohmann/json.hpp"
#include "tests/integration/gateway/stream_fixture.h"

namespace emotion::gateway {
namespace {

TEST_CASE("a session starts, frames are answered with their image's prediction, and it ends") {
  Fixture fixture;
  Client client = fixture.Connect("Sec-WebSocket-Protocol: emotion.v1\r\n");
  CHECK(client.handshake.status == 101);
  client.SendText(R"({"type":"start","session_id":"user123","access_token":"x","unknown":[1]})");
  const json ready = client.ReadJson();
  CHECK(ready["type"] == "ready");
  CHECK(ready["session_id"] == "user123");
  CHECK(ready["model"] == "fake-model");
  CHECK(ready["limits"] == json{{"max_image_bytes", kMaxImage}, {"max_unanswered", 64}});
  CHECK(ready["next_frame_after_ms"] == 0);
  client.SendFrameOf(7, "face one", 3);
  const json answer = client.ReadOf("prediction");
  CHECK(answer["id"] == 7);
  CHECK(answer["face_id"] == 3);
  CHECK(answer["predictions"]["Boredom"]["level"] == LevelOfBytes("face one"));
  CHECK(answer["next_frame_after_ms"] == 2000);
  CHECK(answer["demo"] == true);
  CHECK_FALSE(answer["request_id"].get<std::string>().empty());
  client.SendClose(1000);
  CHECK(client.ReadCloseCode() == 1000);
  CHECK(fixture.Counted(
      R"(emotion_requests_total{code="OK",method="/v1/stream",service="gateway"} 1)"));
  CHECK(fixture.Counted("emotion_answer_age_seconds_count 2"));
}

TEST_CASE("a bad image is a message, and the socket goes on") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendText(R"({"type":"start"})");
  CHECK(client.ReadJson()["session_id"].get<std::string>().size() == 32);
  client.SendFrameOf(1, "bad");
  const json error = client.ReadOf("error");
  CHECK(error["id"] == 1);
  CHECK(error["problem"]["reason"] == "IMAGE_CORRUPT");
  CHECK(error["problem"]["status"] == 400);
  client.SendFrameOf(1, "good");
  CHECK(client.ReadOf("prediction")["id"] == 1);
}

TEST_CASE("what asks for a WebSocket as it should gets one, the rest is told why not") {
  Fixture fixture;
  const auto ask = [&](std::string_view request) {
    return RawHttpClient(fixture.port()).Ask(request);
  };
  const HttpAnswer plain = ask(GetRequest("/v1/stream"));
  CHECK(plain.status == 426);
  CHECK(plain.Field("Upgrade") == "websocket");
  CHECK(plain.Field("Connection").starts_with("Upgrade"));
  CHECK(plain.Field("Sec-WebSocket-Version") == "13");
  CHECK(json::parse(plain.body)["status"] == 426);
  CHECK(ask(Client::Handshake("", "8")).status == 426);
  CHECK(ask(GetRequest("/v1/stream",
                       "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                       "Sec-WebSocket-Version: 13\r\n"))
            .status == 400);
  CHECK(ask(Client::Handshake("Sec-WebSocket-Protocol: mqtt, bearer.x\r\n")).status == 400);
  CHECK(ask(Client::Handshake("Origin: https://evil.example\r\n")).status == 403);
  CHECK(ask(Client::Handshake("Origin: null\r\n")).status == 403);
  CHECK(ask(Client::Handshake("Origin: https://x:8443\r\n")).status == 403);
  CHECK(ask(Client::Handshake("Content-Length: 3\r\n") + "abc").status == 400);
  CHECK(ask(Client::Handshake() + "\x81\x80mask").status == 400);
  for (const char* fields :
       {"Origin: https://page.example\r\n", "Origin: http://x\r\n", "Origin: https://X\r\n",
        "X-Request-Id: mine\r\n", "Sec-WebSocket-Protocol: bearer.x, emotion.v1\r\n"}) {
    INFO(fields);
    Client client = fixture.Connect(fields);
    CHECK(client.handshake.status == 101);
    CHECK(client.handshake.Field("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(client.handshake.Field("Sec-WebSocket-Extensions").empty());
    const bool offers = std::string_view(fields).starts_with("Sec-WebSocket-Protocol");
    CHECK(client.handshake.Field("Sec-WebSocket-Protocol") == (offers ? "emotion.v1" : ""));
    CHECK((client.handshake.Field("X-Request-Id") == "mine") ==
          std::string_view(fields).starts_with("X-Request-Id"));
    client.SendText(R"({"type":"start"})");
    CHECK(client.ReadJson()["type"] == "ready");
  }
}

TEST_CASE("a permessage-deflate offer is not taken up") {
  Fixture fixture;
  Client client = fixture.Connect("Sec-WebSocket-Extensions: permessage-deflate\r\n");
  CHECK(client.handshake.status == 101);
  CHECK(client.handshake.Field("Sec-WebSocket-Extensions").empty());
}

TEST_CASE("a frame says whose it is, and later frames are newer") {
  Fixture fixture;
  Client client = fixture.Connect("X-Request-Id: sock\r\n");
  client.SendText(R"({"type":"start","session_id":"user123"})");
  for (int i = 0; i < 20; ++i) client.SendFrameOf(i, "image", i % 2);
  for (int i = 0; i < 20; ++i) CHECK(client.ReadOf("prediction")["face_id"].is_number());
  auto frames = fixture.fake().frames();
  frames.erase(frames.begin());  // the fixture's own
  REQUIRE(frames.size() == 20);
  const IdentityKeys keys =
      Identity("0123456789abcdef", CacheScope::kSubject).KeysFor("user123", "127.0.0.1");
  uint64_t last = 1'600'000'000'000'000;
  std::set<std::string> ids;
  for (const v1::Frame& frame : frames) {
    CHECK(frame.session_key() == keys.session_key);
    CHECK(frame.cache_scope() == keys.cache_scope);
    CHECK(frame.fairness_key() == keys.fairness_key);
    CHECK(frame.sequence() > last);
    CHECK(frame.accepted_at_us() <= frame.sequence());
    CHECK(frame.timeout_ms() > 7000);
    CHECK(frame.priority() == v1::PRIORITY_INTERACTIVE);
    CHECK(frame.cache_mode() == v1::CACHE_MODE_USE);
    CHECK(frame.detect() == v1::DETECT_OFF);
    CHECK(frame.face_id() < 2);
    CHECK(frame.request_id().starts_with("sock."));
    CHECK(frame.traceparent().size() == 55);
    ids.insert(frame.request_id());
    last = frame.sequence();
  }
  CHECK(ids.size() == 20);
}

TEST_CASE("a superseded frame is told so by a message of its own") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendFrameOf(4, "old frame", 2);
  CHECK(client.ReadOf("superseded") == json{{"type", "superseded"}, {"id", 4}, {"face_id", 2}});
}

TEST_CASE("errors behind the gateway tell nothing of its insides") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendFrameOf(1, "broken");
  const json error = client.ReadOf("error");
  CHECK(error["problem"]["status"] == 500);
  CHECK(error.dump().find("10.1.2.3") == std::string::npos);
  client.SendFrameOf(2, "full");
  CHECK(client.ReadOf("error")["problem"]["reason"] == "QUEUE_FULL");
}

TEST_CASE("another model is announced to every session once") {
  Fixture fixture;
  Client one = fixture.Connect();
  Client two = fixture.Connect();
  for (Client* client : {&one, &two}) {
    client->SendText(R"({"type":"start"})");
    CHECK(client->ReadJson()["model"] == "fake-model");
  }
  fixture.fake().ChangeModel("another");
  for (Client* client : {&one, &two}) {
    CHECK(client->ReadJson() == json{{"type", "model"}, {"model", "another"}});
    client->SendFrameOf(1, "x");
    CHECK(client->ReadJson()["type"] == "prediction");
  }
}

TEST_CASE("while no classifier is connected ready has no model") {
  GatewayOptions options = SmallOptions();
  options.classifier_targets = {"127.0.0.1:1"};
  Metrics metrics{BuildInfo{"9.9", ""}};
  auto server = GatewayServer::Start(options, {.metrics = metrics}).value();
  Client client(server->port());
  client.SendText(R"({"type":"start"})");
  const json ready = client.ReadJson();
  CHECK(ready["model"] == "");
  CHECK_FALSE(ready.contains("demo"));
  server->Stop(steady_clock::now() + std::chrono::seconds(2));
}

}  // namespace
}  // namespace emotion::gateway

// /v1/stream of a real gateway: WebSocket clients that break the rules on one side, a fake
// classifier service over real gRPC on the other.
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "gateway/server.h"
#include "nlohmann/json.hpp"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_classifier.h"
#include "tests/fakes/raw_web_socket_client.h"

namespace emotion::gateway {
namespace {

using emotion::testing::FakeClassifierServer;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::LevelOfBytes;
using emotion::testing::RawHttpClient;
using emotion::testing::RawWebSocketClient;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxImage = 2000;

GatewayOptions SmallOptions() {
  GatewayOptions options;
  options.host = "127.0.0.1";
  options.port = 0;
  options.cors_origins = {"https://page.example"};
  options.session_secret = "0123456789abcdef";
  options.input = {
      .max_image_bytes = kMaxImage, .max_batch_images = 4, .max_timeout = milliseconds(8000)};
  return options;
}

template <class Condition>
bool Eventually(const Condition& condition) {
  return emotion::testing::Eventually(condition, std::chrono::seconds(20));
}

class Client : public RawWebSocketClient {
 public:
  using RawWebSocketClient::RawWebSocketClient;

  // The next message; null when the connection ended or was closed.
  json ReadJson() {
    const auto message = Read();
    if (!message || message->opcode != kText) return nullptr;
    return json::parse(message->payload);
  }
  // The next one of this type.
  json ReadOf(std::string_view type) {
    while (true) {
      json message = ReadJson();
      if (message.is_null() || message["type"] == type) return message;
    }
  }
};

struct Fixture {
  explicit Fixture(GatewayOptions options = SmallOptions()) {
    options.classifier_targets = {classifier.target()};
    auto started = GatewayServer::Start(std::move(options), {.metrics = metrics, .version = "9.9"});
    INFO(started.status().ToString());
    REQUIRE(started.ok());
    server = *std::move(started);
    REQUIRE(Eventually(
        [&] { return RawHttpClient(port()).Ask(GetRequest("/v1/model")).status == 200; }));
    // The card is there, and so is the stream, when a prediction came back.
    REQUIRE(RawHttpClient(port())
                .Ask(emotion::testing::PostRequest("/v1/predict", "image/jpeg", "warm"))
                .status == 200);
  }
  ~Fixture() {
    fake().ReleaseHeld();
    server->Stop(steady_clock::now() + std::chrono::seconds(2));
  }

  int port() const { return server->port(); }
  emotion::testing::FakeClassifierService& fake() { return classifier.service(); }
  Client Connect(std::string_view fields = "") { return Client(port(), fields); }
  std::string MetricsText() { return metrics.Text(); }
  bool Counted(std::string_view sample) {
    return Eventually([&] { return MetricsText().find(sample) != std::string::npos; });
  }

  Metrics metrics{BuildInfo{"9.9", ""}};
  FakeClassifierServer classifier;
  std::unique_ptr<GatewayServer> server;
};

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

TEST_CASE("a socket that ends withdraws its frames") {
  Fixture fixture;
  Client vanishes = fixture.Connect();
  for (int i = 0; i < 3; ++i) vanishes.SendFrameOf(i, "held");
  fixture.fake().WaitForHeld(3);
  vanishes.Vanish();
  CHECK(Eventually([&] { return fixture.fake().cancelled() == 3; }));
  Client closes = fixture.Connect();
  closes.SendFrameOf(1, "held");
  fixture.fake().WaitForHeld(1);
  closes.SendClose(1001);
  CHECK(closes.ReadCloseCode() == 1001);
  CHECK(Eventually([&] { return fixture.fake().cancelled() == 4; }));
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(fixture.Counted("emotion_streams 0"));
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

TEST_CASE(
    "draining tells when to come back, serves on, answers what is left and closes with 1012") {
  Fixture fixture;
  Client busy = fixture.Connect();
  busy.SendFrameOf(1, "held face");
  fixture.fake().WaitForHeld(1);
  Client idle = fixture.Connect();
  idle.SendText(R"({"type":"start","session_id":"idle"})");
  CHECK(idle.ReadJson()["type"] == "ready");

  fixture.server->BeginDrain(milliseconds(1000));
  for (Client* client : {&busy, &idle}) {
    const json draining = client->ReadOf("draining");
    CHECK(draining["reconnect_after_ms"] >= 100);
    CHECK(draining["reconnect_after_ms"] <= 1000);
  }
  busy.SendFrameOf(2, "still taken");
  CHECK(busy.ReadOf("prediction")["id"] == 2);
  Client late = fixture.Connect();
  CHECK(late.ReadJson()["type"] == "draining");

  std::thread stop([&] { fixture.server->Stop(steady_clock::now() + std::chrono::seconds(10)); });
  CHECK(idle.ReadCloseCode() == 1012);
  CHECK(late.ReadCloseCode() == 1012);
  busy.SendFrameOf(3, "too late");
  std::this_thread::sleep_for(milliseconds(50));
  fixture.fake().ReleaseHeld();
  const json answer = busy.ReadJson();
  CHECK(answer["id"] == 1);
  CHECK(answer["predictions"]["Boredom"]["level"] == LevelOfBytes("held face"));
  CHECK(busy.ReadCloseCode() == 1012);
  stop.join();
  CHECK(fixture.fake().frames().size() == 3);
  CHECK(fixture.fake().deleted().empty());  // they come back elsewhere
}

TEST_CASE("what is not answered at the deadline is cut off") {
  Fixture fixture;
  Client client = fixture.Connect();
  client.SendFrameOf(1, "held");
  fixture.fake().WaitForHeld(1);
  const auto before = steady_clock::now();
  fixture.server->Stop(before + milliseconds(200));
  CHECK(steady_clock::now() - before < std::chrono::seconds(3));
  CHECK(client.ReadCloseCode() == 1006);
  CHECK(Eventually([&] { return fixture.fake().cancelled() == 1; }));
}

uint64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

TEST_CASE("a closed session is forgotten, dated at the close") {
  GatewayOptions options = SmallOptions();
  options.forget_after = milliseconds(300);
  Fixture fixture(std::move(options));
  const auto close = [&](std::string_view start) {
    Client client = fixture.Connect();
    client.SendText(start);
    CHECK(client.ReadJson()["type"] == "ready");
    client.SendClose(1000);
    CHECK(client.ReadCloseCode() == 1000);
  };
  close(R"({"type":"start","session_id":"kept","forget_on_close":false})");
  const uint64_t before = NowMicros();
  close(R"({"type":"start","session_id":"user123"})");
  const uint64_t after = NowMicros();
  CHECK(Eventually([&] { return fixture.fake().deleted().size() == 1; }));
  CHECK(NowMicros() - before >= 300'000);
  const auto deleted = fixture.fake().deleted();
  CHECK(deleted[0].session_key() ==
        Identity("0123456789abcdef", CacheScope::kSubject).SessionKey("user123"));
  CHECK(deleted[0].deleted_at_us() >= before);
  CHECK(deleted[0].deleted_at_us() <= after + 100'000);
  std::this_thread::sleep_for(milliseconds(400));
  CHECK(fixture.fake().deleted().size() == 1);
}

TEST_CASE("a session that is opened again is not forgotten") {
  GatewayOptions options = SmallOptions();
  options.forget_after = milliseconds(200);
  Fixture fixture(std::move(options));
  {
    Client first = fixture.Connect();
    first.SendText(R"({"type":"start","session_id":"user123"})");
    first.ReadJson();
  }
  Client again = fixture.Connect();
  again.SendText(R"({"type":"start","session_id":"user123","forget_on_close":false})");
  CHECK(again.ReadJson()["type"] == "ready");
  std::this_thread::sleep_for(milliseconds(500));
  CHECK(fixture.fake().deleted().empty());
}

TEST_CASE("sessions that wait to be forgotten are forgotten when the gateway stops") {
  Fixture fixture;
  for (const char* id : {"a", "b", "c"}) {
    Client client = fixture.Connect();
    client.SendText(fmt::format(R"({{"type":"start","session_id":"{}"}})", id));
    client.ReadJson();
  }
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(fixture.fake().deleted().empty());
  fixture.server->Stop(steady_clock::now() + std::chrono::seconds(2));
  CHECK(fixture.fake().deleted().size() == 3);
}

TEST_CASE("five hundred sockets share one stream, and each gets the answers of its own images") {
  Fixture fixture;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 500; ++i) {
    clients.push_back(std::make_unique<Client>(fixture.port()));
    REQUIRE(clients.back()->handshake.status == 101);
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) {
      clients[i]->SendFrameOf(round, fmt::format("socket {} round {}", i, round));
    }
  }
  int wrong = 0;
  for (size_t i = 0; i < clients.size(); ++i) {
    std::set<int> ids;
    for (int n = 0; n < 3; ++n) {
      const json answer = clients[i]->ReadOf("prediction");
      const int id = answer["id"];
      ids.insert(id);
      const std::string image = fmt::format("socket {} round {}", i, id);
      if (answer["predictions"]["Boredom"]["level"] != LevelOfBytes(image)) ++wrong;
    }
    if (ids.size() != 3) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(fixture.fake().opened_streams() == 1);
  clients.clear();
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(fixture.Counted("emotion_streams 0"));
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  size_t resident = 0;
  file >> pages >> resident;
  return resident * 4096;
}

// Both ends live in this process, so the bound holds for the client's part too.
TEST_CASE("an idle socket holds a few kilobytes, also after a large image", "[memory]") {
  GatewayOptions options = SmallOptions();
  options.input.max_image_bytes = 1 << 20;
  Fixture fixture(std::move(options));
  constexpr int kSockets = 2000;
  std::vector<std::unique_ptr<Client>> clients;
  const std::string image(1 << 19, 'x');
  const auto open = [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto client = std::make_unique<Client>(fixture.port());
      client->SendText(R"({"type":"start"})");
      REQUIRE(client->ReadJson()["type"] == "ready");
      if (i % 10 == 0) {
        client->SendFrameOf(1, image);
        REQUIRE(client->ReadJson()["type"] == "prediction");
        fixture.fake().ForgetFrames();
      }
      clients.push_back(std::move(client));
    }
  };
  open(200);  // what is allocated once
  const size_t before = ResidentBytes();
  open(kSockets);
  const size_t after = ResidentBytes();
  const size_t each = (after - std::min(before, after)) / kSockets;
  WARN("resident bytes of an idle socket, both ends: " << each);
#ifndef __SANITIZE_ADDRESS__  // which keeps what is freed
  CHECK(each < 60 * 1024);
#endif
}

TEST_CASE("sockets that come and go in every way leave nothing behind") {
  Fixture fixture;
  std::vector<std::thread> crowds;
  for (int crowd = 0; crowd < 4; ++crowd) {
    crowds.emplace_back([&fixture, crowd] {
      for (int i = 0; i < 50; ++i) {
        Client client(fixture.port());
        client.SendText(R"({"type":"start"})");
        client.SendFrameOf(1, (i + crowd) % 2 == 0 ? "held" : "image");
        client.SendFrameOf(2, "bad");
        if (i % 5 == 1) client.ReadJson();
        if (i % 5 == 2) client.SendClose(1000);
        if (i % 5 == 3) client.SendText("no JSON");
        if (i % 5 == 4) client.raw().Send("\x82\xff");
      }
    });
  }
  for (std::thread& crowd : crowds) crowd.join();
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(fixture.Counted("emotion_streams 0"));
  // What was withdrawn before it arrived is cancelled all the same.
  CHECK(Eventually([&] { return fixture.fake().held() == 0; }));
}

}  // namespace
}  // namespace emotion::gateway

// /v1/stream of a real gateway: WebSocket clients that break the rules on one side, a fake
// classifier service over real gRPC on the other.
#include <chrono>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "gateway/server.h"
#include "nlohmann/json.hpp"
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
  const auto deadline = steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
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

}  // namespace
}  // namespace emotion::gateway

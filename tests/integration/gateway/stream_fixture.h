// /v1/stream of a real gateway: WebSocket clients of any manners on one side, a fake classifier
// service over real gRPC on the other. For the stream_*_test.cc beside this file.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

#include "gateway/server.h"
#include "nlohmann/json_fwd.hpp"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_classifier.h"
#include "tests/fakes/raw_web_socket_client.h"
#include "tests/integration/gateway/small_options.h"

namespace emotion::gateway {

using emotion::testing::Eventually;
using emotion::testing::FakeClassifierServer;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::LevelOfBytes;
using emotion::testing::RawHttpClient;
using emotion::testing::RawWebSocketClient;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

inline GatewayOptions SmallOptions() { return OptionsWithin(milliseconds(8000)); }

class Client : public RawWebSocketClient {
 public:
  using RawWebSocketClient::RawWebSocketClient;

  // The next message; null when the connection ended or was closed.
  json ReadJson();
  // The next one of this type.
  json ReadOf(std::string_view type);
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

}  // namespace emotion::gateway

// A gateway between raw HTTP clients and a fake classifier service over real gRPC. For the
// gateway_*_test.cc beside this file.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "gateway/json_codec/base64.h"
#include "gateway/server.h"
#include "nlohmann/json_fwd.hpp"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_classifier.h"
#include "tests/fakes/raw_http_client.h"
#include "tests/integration/gateway/small_options.h"

namespace emotion::gateway {

using emotion::testing::Eventually;
using emotion::testing::FakeClassifierServer;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::LevelOfBytes;
using emotion::testing::PostRequest;
using emotion::testing::RawHttpClient;
using nlohmann::json;
using std::chrono::steady_clock;

inline constexpr size_t kMaxBody = 4000;

inline GatewayOptions SmallOptions() {
  GatewayOptions options = OptionsWithin(std::chrono::milliseconds(5000));
  options.web_directory = "";
  options.max_body_bytes = kMaxBody;
  return options;
}

struct Fixture {
  explicit Fixture(GatewayOptions options = SmallOptions()) {
    if (!options.classifier_channel) options.classifier_targets = {classifier.target()};
    auto started = GatewayServer::Start(std::move(options), {.metrics = metrics, .version = "9.9"});
    INFO(started.status().ToString());
    REQUIRE(started.ok());
    server = *std::move(started);
    // The names of the replicas are looked up in the background.
    REQUIRE(Eventually([&] { return Ask(GetRequest("/v1/model")).status == 200; }));
  }
  ~Fixture() {
    classifier.service().ReleaseHeld();
    server->Stop(steady_clock::now() + std::chrono::seconds(2));
  }

  RawHttpClient Connect() { return RawHttpClient(server->port()); }
  HttpAnswer Ask(std::string_view request) { return Connect().Ask(request); }
  HttpAnswer PostJson(std::string_view path, const std::string& body,
                      std::string_view fields = "") {
    return Ask(PostRequest(path, "application/json", body, fields));
  }
  HttpAnswer PostImage(const std::string& image, std::string_view fields = "") {
    return Ask(PostRequest("/v1/predict", "image/jpeg", image, fields));
  }

  Metrics metrics{BuildInfo{"9.9", ""}};
  FakeClassifierServer classifier;
  std::unique_ptr<GatewayServer> server;
};

inline std::string ImageJson(std::string_view image, std::string_view more = "") {
  return fmt::format(R"({{"image":"{}"{}}})", EncodeBase64(image), more);
}

// Of Engagement, in the answer to a prediction.
uint32_t LevelIn(const HttpAnswer& answer);

}  // namespace emotion::gateway

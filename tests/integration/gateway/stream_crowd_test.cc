// /v1/stream with hundreds and thousands of sockets at once.
#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/integration/gateway/stream_fixture.h"

namespace emotion::gateway {
namespace {

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

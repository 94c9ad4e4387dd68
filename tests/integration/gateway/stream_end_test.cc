// /v1/stream at its end: sockets that go, a gateway that drains, sessions that are forgotten.
#include <chrono>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/integration/gateway/stream_fixture.h"

namespace emotion::gateway {
namespace {

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

}  // namespace
}  // namespace emotion::gateway

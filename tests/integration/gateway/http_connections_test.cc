// How long a connection waits, how many there may be, and how they end.
#include <optional>
#include <thread>

#include <sys/resource.h>

#include "tests/integration/gateway/http_server_fixture.h"

namespace emotion::gateway {
namespace {

TEST_CASE("a header that does not come is a 408; a client that says nothing gets nothing") {
  Fixture fixture(HttpLimits{.header_timeout = milliseconds(150)});
  RawHttpClient slow = fixture.Connect();
  slow.Send("GET / HTTP/1.1\r\nHo");
  CHECK(slow.Read().status == 408);
  RawHttpClient silent = fixture.Connect();
  CHECK(silent.Read().status == 0);
  RawHttpClient dripping = fixture.Connect();
  for (int i = 0; i < 20 && dripping.Send("G"); ++i) std::this_thread::sleep_for(milliseconds(20));
  CHECK(dripping.Read().status == 408);
}

TEST_CASE("a body that does not come is a 408") {
  Fixture fixture(HttpLimits{.body_timeout = milliseconds(150)});
  RawHttpClient client = fixture.Connect();
  client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  const HttpAnswer answer = client.Read();
  CHECK(answer.status == 408);
  CHECK(answer.Field("Connection") == "close");
}

TEST_CASE("a connection that idles between requests is closed without a word") {
  Fixture fixture(HttpLimits{.idle_timeout = milliseconds(150)});
  RawHttpClient client = fixture.Connect();
  CHECK(client.Ask(GetRequest("/")).status == 200);
  CHECK(client.EndsWithin(5000));
}

TEST_CASE("a reader that takes nothing is cut off") {
  Fixture fixture(
      HttpLimits{.write_timeout = milliseconds(150), .least_bytes_per_second = 100'000'000});
  RawHttpClient client = fixture.Connect();
  client.Send(GetRequest("/big"));
  CHECK(Eventually([&] { return fixture.app.recorded == 1; }));
  CHECK(fixture.app.last_status == 499);
}

TEST_CASE("an answer that never comes is a 504") {
  Fixture fixture(HttpLimits{.handler_timeout = milliseconds(150)});
  RawHttpClient client = fixture.Connect();
  const HttpAnswer answer = client.Ask(GetRequest("/held"));
  CHECK(answer.status == 504);
  CHECK(fixture.app.gone == 1);
}

TEST_CASE("a client that leaves is told to the handler, and its connection is gone") {
  Fixture fixture;
  for (int i = 0; i < 20; ++i) {
    RawHttpClient client = fixture.Connect();
    client.Send(GetRequest("/held"));
    fixture.app.WaitForHeld(static_cast<size_t>(i) + 1);
  }
  CHECK(Eventually([&] { return fixture.app.gone == 20; }));
  fixture.app.Release();
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(fixture.app.last_status == 499);
}

TEST_CASE("bodies in flight are bounded together") {
  Fixture fixture(HttpLimits{.bodies_in_flight_bytes = 1500});
  const std::string head = "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
  RawHttpClient first = fixture.Connect();
  first.Send(head + std::string(1000, 'b'));
  fixture.app.WaitForHeld(1);
  RawHttpClient second = fixture.Connect();
  second.Send(head + std::string(900, 'b'));
  CHECK(second.Read().status == 503);
  fixture.app.Release();
  CHECK(first.Read().body == "released");
  // Given back a moment after the answer was written.
  CHECK(Eventually([&] {
    return fixture.Ask(PostRequest("/echo", "x", std::string(1000, 'b'))).status == 200;
  }));
}

TEST_CASE("connections over the cap are refused with 503, and taken when others end") {
  Fixture fixture(HttpLimits{.connections = 2});
  RawHttpClient first = fixture.Connect();
  CHECK(first.Ask(GetRequest("/")).status == 200);
  RawHttpClient second = fixture.Connect();
  CHECK(second.Ask(GetRequest("/")).status == 200);
  CHECK(fixture.Connect().Read().status == 503);
  first.Close();
  CHECK(Eventually([&] { return fixture.server->connections() == 1; }));
  CHECK(fixture.Ask(GetRequest("/")).status == 200);
}

TEST_CASE("one address has no more connections than its share") {
  Fixture fixture(HttpLimits{.connections_per_address = 1});
  RawHttpClient first = fixture.Connect();
  CHECK(first.Ask(GetRequest("/")).status == 200);
  CHECK(fixture.Connect().Read().status == 503);
}

TEST_CASE("draining answers what was accepted and ends every connection") {
  Fixture fixture;
  RawHttpClient idle = fixture.Connect();
  CHECK(idle.Ask(GetRequest("/")).status == 200);
  RawHttpClient busy = fixture.Connect();
  busy.Send(GetRequest("/held"));
  fixture.app.WaitForHeld(1);
  fixture.server->BeginDrain();
  CHECK(fixture.Ask(GetRequest("/late")).Field("Connection") == "close");
  std::thread stop([&] { fixture.server->Stop(steady_clock::now() + std::chrono::seconds(10)); });
  CHECK(idle.EndsWithin(5000));
  fixture.app.Release();
  const HttpAnswer answer = busy.Read();
  CHECK(answer.body == "released");
  CHECK(answer.Field("Connection") == "close");
  stop.join();
  CHECK(fixture.server->connections() == 0);
  CHECK_FALSE(fixture.Connect().connected());
}

TEST_CASE("stopping cuts off what is not answered by the deadline") {
  Fixture fixture;
  RawHttpClient busy = fixture.Connect();
  busy.Send(GetRequest("/held"));
  fixture.app.WaitForHeld(1);
  const auto begin = steady_clock::now();
  fixture.server->Stop(begin + milliseconds(200));
  CHECK(steady_clock::now() - begin < std::chrono::seconds(3));
  CHECK(busy.Read().status == 0);
  CHECK(fixture.app.gone == 1);
}

// While it lives this process can open one descriptor more: that of the test's own client.
class OneDescriptorLeft {
 public:
  OneDescriptorLeft() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const int next = dup(0);
    close(next);
    rlimit tight = before_;
    tight.rlim_cur = static_cast<rlim_t>(next) + 1;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
  }
  ~OneDescriptorLeft() { CHECK(setrlimit(RLIMIT_NOFILE, &before_) == 0); }

 private:
  rlimit before_{};
};

// Running out of descriptors must not leave the server deaf, as it leaves others.
TEST_CASE("accepting goes on after descriptors ran out") {
  Fixture fixture;
  CHECK(fixture.Ask(GetRequest("/")).status == 200);
  std::optional<OneDescriptorLeft> tight(std::in_place);
  RawHttpClient client = fixture.Connect();
  client.Send(GetRequest("/patient"));
  std::this_thread::sleep_for(milliseconds(200));
  tight.reset();
  CHECK(client.connected());
  CHECK(client.Read().body == "/patient");
}

TEST_CASE("stopping answers a request whose connection was not taken from the kernel yet") {
  Fixture fixture;
  CHECK(fixture.Ask(GetRequest("/")).status == 200);
  std::optional<OneDescriptorLeft> tight(std::in_place);
  RawHttpClient client = fixture.Connect();
  client.Send(GetRequest("/patient"));
  std::this_thread::sleep_for(milliseconds(20));  // the server pauses for 50 after it failed
  tight.reset();
  fixture.server->Stop(steady_clock::now() + std::chrono::seconds(10));
  CHECK(client.Read().body == "/patient");
}

TEST_CASE("a thousand idle connections leave room for one more request") {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_max < 5000) {
    WARN("skipped: only " << limit.rlim_max << " descriptors are allowed here");
    return;
  }
  limit.rlim_cur = 5000;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  Fixture fixture;
  std::vector<RawHttpClient> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(fixture.Connect());
  CHECK(Eventually([&] { return fixture.server->connections() == 1000; }));
  CHECK(fixture.Ask(GetRequest("/still")).body == "/still");
  idle.clear();
  CHECK(Eventually([&] { return fixture.server->connections() == 0; }));
}

TEST_CASE("a port that is taken ends the start with its address") {
  Fixture fixture;
  SmallApp app;
  const auto second = HttpServer::Start(
      {.host = "127.0.0.1", .port = static_cast<uint16_t>(fixture.server->port())}, app);
  REQUIRE_FALSE(second.ok());
  CHECK(std::string(second.status().message()).find("127.0.0.1") != std::string::npos);
  CHECK_FALSE(HttpServer::Start({.host = "not an address"}, app).ok());
}

}  // namespace
}  // namespace emotion::gateway

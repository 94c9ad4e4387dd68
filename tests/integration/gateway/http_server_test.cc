// The HTTP server with a small application behind it, met by a client that knows no manners.
#include "gateway/http/http_server.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include "common/sync/mutex.h"
#include "gateway/http/problem.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/raw_http_client.h"

namespace emotion::gateway {
namespace {

using emotion::testing::Eventually;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::PostRequest;
using emotion::testing::RawHttpClient;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kBodyLimit = 1000;

// POST /echo gives the body back; GET /held waits for Release or for the client to leave; GET /big
// has ten million bytes; all else says which path it was.
class SmallApp final : public HttpApp {
 public:
  Admission Admit(Request& request) override {
    if (request.path == "/no") return {.refusal = HttpProblem(404, "no", request.request_id)};
    const bool echo = request.path == "/echo";
    return {.refusal = {}, .body_limit = kBodyLimit, .body_required = echo};
  }

  void Handle(std::shared_ptr<Exchange> exchange) override {
    const Request& request = exchange->request();
    if (request.path == "/held") {
      exchange->OnGone([this] { ++gone; });
      MutexLock lock(mutex_);
      held_.push_back(exchange);
      changed_.NotifyAll();
      return;
    }
    Response response;
    response.body = request.path == "/echo" ? request.body : request.path;
    if (request.path == "/big") response.body.assign(10'000'000, 'b');
    exchange->Respond(std::move(response));
  }

  void Finish(const Request& request, Response& response) override {
    response.headers.Set("X-Request-Id", request.request_id);
  }

  void Record(const Request&, const Response& response, std::chrono::nanoseconds) override {
    last_status = response.status;
    ++recorded;
  }

  void WaitForHeld(size_t count) {
    MutexLock lock(mutex_);
    while (held_.size() < count) changed_.Wait(mutex_);
  }

  void Release() {
    std::vector<std::shared_ptr<Exchange>> held;
    {
      MutexLock lock(mutex_);
      held.swap(held_);
    }
    for (const auto& exchange : held) {
      Response response;
      response.body = "released";
      exchange->Respond(std::move(response));
    }
  }

  std::atomic<int> gone = 0;
  std::atomic<int> recorded = 0;
  std::atomic<int> last_status = 0;

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::shared_ptr<Exchange>> held_ GUARDED_BY(mutex_);
};

struct Fixture {
  explicit Fixture(HttpLimits limits = {}) {
    auto started =
        HttpServer::Start({.host = "127.0.0.1", .port = 0, .threads = 2, .limits = limits}, app);
    REQUIRE(started.ok());
    server = *std::move(started);
  }
  ~Fixture() {
    app.Release();
    server.reset();
  }
  RawHttpClient Connect() { return RawHttpClient(server->port()); }
  HttpAnswer Ask(std::string_view request) { return Connect().Ask(request); }

  SmallApp app;
  std::unique_ptr<HttpServer> server;
};

std::string Chunked(std::string_view chunks) {
  return "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
         std::string(chunks);
}

TEST_CASE("a body may have the limit and not a byte more") {
  Fixture fixture;
  for (const size_t size : {kBodyLimit - 1, kBodyLimit}) {
    const HttpAnswer answer = fixture.Ask(PostRequest("/echo", "x", std::string(size, 'b')));
    CHECK(answer.status == 200);
    CHECK(answer.body.size() == size);
  }
  const HttpAnswer over = fixture.Ask(PostRequest("/echo", "x", std::string(kBodyLimit + 1, 'b')));
  CHECK(over.status == 413);
  CHECK(over.body.find("BODY_TOO_LARGE") != std::string::npos);
  CHECK(over.Field("Connection") == "close");
}

TEST_CASE("a chunked body may have the limit and not a byte more") {
  Fixture fixture;
  const std::string half = "1f4\r\n" + std::string(500, 'c') + "\r\n";
  CHECK(fixture.Ask(Chunked(half + half + "0\r\n\r\n")).body.size() == 1000);
  CHECK(fixture.Ask(Chunked(half + half + "1\r\nc\r\n0\r\n\r\n")).status == 413);
  CHECK(fixture.Ask(Chunked("fffffffff\r\n")).status == 413);
  CHECK(fixture.Ask(Chunked("ffffffffffffffffffff\r\n")).status == 400);
  CHECK(fixture.Ask(Chunked("zz\r\n")).status == 400);
}

TEST_CASE("the client is told of a 413 also when it sends all the same") {
  Fixture fixture;
  RawHttpClient client = fixture.Connect();
  client.Send(PostRequest("/echo", "x", std::string(5'000'000, 'b')));
  CHECK(client.Read().status == 413);
}

TEST_CASE("a post without a length is refused, an empty one is not") {
  Fixture fixture;
  CHECK(fixture.Ask("POST /echo HTTP/1.1\r\nHost: x\r\n\r\n").status == 411);
  CHECK(fixture.Ask(PostRequest("/echo", "x", "")).status == 200);
}

TEST_CASE("headers may have 8 KB and not more") {
  Fixture fixture;
  const auto with = [&](size_t size) {
    return fixture.Ask(GetRequest("/", "X-Fill: " + std::string(size, 'f') + "\r\n")).status;
  };
  CHECK(with(8000) == 200);
  CHECK(with(8300) == 431);
  CHECK(with(100'000) == 431);
  CHECK(fixture.Ask("GET /" + std::string(20'000, 'p') + " HTTP/1.1\r\n\r\n").status == 431);
}

TEST_CASE("what could be read as two different requests is refused") {
  Fixture fixture;
  const std::string start = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  for (const std::string& rest : std::vector<std::string>{
           "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
           "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "Content-Length: 3, 4\r\n\r\nabcd",
           "Content-Length: -1\r\n\r\n",
           "Content-Length: 99999999999999999999999\r\n\r\n",
           "Content-Length: 1e3\r\n\r\n",
           "Content-Length : 3\r\n\r\nabc",
           "X\r\n\r\n",
           "Host: y\r\nContent-Length: 3\r\n\r\nabc",
           std::string("X: a\0b\r\n\r\n", 10),
       }) {
    INFO(rest);
    const HttpAnswer answer = fixture.Ask(start + rest);
    CHECK(answer.status == 400);
    CHECK(answer.Field("Connection") == "close");
  }
}

TEST_CASE("what is not HTTP/1 is refused and ends the connection") {
  Fixture fixture;
  for (const char* bytes :
       {"GET / HTTP/3.0\r\n\r\n", "GET /\r\n\r\n", "\x16\x03\x01\x02\x01\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n",
        " GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    INFO(bytes);
    RawHttpClient client = fixture.Connect();
    CHECK(client.Ask(bytes).status == 400);
  }
}

TEST_CASE("several requests share a connection, also when sent at once") {
  Fixture fixture;
  RawHttpClient client = fixture.Connect();
  client.Send(GetRequest("/1") + PostRequest("/echo", "x", "two") + GetRequest("/3") +
              GetRequest("/no") + GetRequest("/5"));
  CHECK(client.Read().body == "/1");
  CHECK(client.Read().body == "two");
  CHECK(client.Read().body == "/3");
  CHECK(client.Read().status == 404);
  const HttpAnswer last = client.Read();
  CHECK(last.body == "/5");
  CHECK(last.Field("Connection") == "keep-alive");
}

TEST_CASE("requests that follow one that is being answered wait their turn") {
  Fixture fixture;
  RawHttpClient client = fixture.Connect();
  client.Send(GetRequest("/held"));
  fixture.app.WaitForHeld(1);
  client.Send(GetRequest("/next"));
  std::this_thread::sleep_for(milliseconds(50));
  CHECK(fixture.app.gone == 0);
  fixture.app.Release();
  CHECK(client.Read().body == "released");
  CHECK(client.Read().body == "/next");
}

TEST_CASE("a connection ends when the client asks, with HTTP/1.0, and after its last request") {
  Fixture fixture(HttpLimits{.requests_per_connection = 2});
  RawHttpClient asked = fixture.Connect();
  CHECK(asked.Ask(GetRequest("/", "Connection: close\r\n")).Field("Connection") == "close");
  CHECK(asked.EndsWithin(5000));
  RawHttpClient old = fixture.Connect();
  CHECK(old.Ask("GET /old HTTP/1.0\r\n\r\n").body == "/old");
  CHECK(old.EndsWithin(5000));
  RawHttpClient busy = fixture.Connect();
  CHECK(busy.Ask(GetRequest("/")).Field("Connection") == "keep-alive");
  CHECK(busy.Ask(GetRequest("/")).Field("Connection") == "close");
  CHECK(busy.EndsWithin(5000));
}

TEST_CASE("HEAD has the length of the body and not the body") {
  Fixture fixture;
  RawHttpClient client = fixture.Connect();
  const HttpAnswer head = client.Ask("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n", /*head_only=*/true);
  CHECK(head.status == 200);
  CHECK(head.Field("Content-Length") == "4");
  CHECK(client.Ask(GetRequest("/next")).body == "/next");
}

TEST_CASE("100-continue is answered before the body, and only when the body will be read") {
  Fixture fixture;
  RawHttpClient client = fixture.Connect();
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
  CHECK(client.Ask(head + "3\r\n\r\n", /*head_only=*/true).status == 100);
  CHECK(client.Ask("abc").body == "abc");
  CHECK(fixture.Ask(head + "1001\r\n\r\n").status == 413);
  CHECK(fixture.Ask("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: magic\r\nContent-Length: 3\r\n\r\n")
            .status == 417);
}

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

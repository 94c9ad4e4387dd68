// What is a request, how much of one is taken, and in which order they are answered.
#include "tests/integration/gateway/http_server_fixture.h"

namespace emotion::gateway {
namespace {

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

}  // namespace
}  // namespace emotion::gateway

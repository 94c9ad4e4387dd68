// The HTTP server with a small application behind it, met by a client that knows no manners. For
// http_requests_test.cc and http_connections_test.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "common/sync/mutex.h"
#include "gateway/http/http_server.h"
#include "gateway/http/problem.h"
#include "tests/fakes/eventually.h"
#include "tests/fakes/raw_http_client.h"

namespace emotion::gateway {

using emotion::testing::Eventually;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::PostRequest;
using emotion::testing::RawHttpClient;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

inline constexpr size_t kBodyLimit = 1000;

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

}  // namespace emotion::gateway

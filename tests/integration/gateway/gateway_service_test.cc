// All that a gateway serves beside predictions: health, sessions, descriptions, the page; and how
// it ends.
#include <set>
#include <thread>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/integration/gateway/gateway_fixture.h"

namespace emotion::gateway {
namespace {

TEST_CASE("unknown paths, other methods and options are answered as HTTP asks") {
  Fixture fixture;
  for (const char* path : {"/nothing", "/docs", "/../etc/passwd", "/v1/predict/",
                           "/%2e%2e/%2e%2e/etc/passwd", "//health", "/"}) {
    INFO(path);
    const HttpAnswer answer = fixture.Ask(GetRequest(path));
    CHECK(answer.status == 404);
    CHECK(json::parse(answer.body)["code"] == "NOT_FOUND");
  }
  const HttpAnswer method = fixture.Ask(GetRequest("/v1/predict"));
  CHECK(method.status == 405);
  CHECK(method.Field("Allow") == "POST, OPTIONS");
  CHECK(fixture.Ask(PostRequest("/health", "application/json", "{}")).Field("Allow") ==
        "GET, HEAD, OPTIONS");
  const HttpAnswer options = fixture.Ask("OPTIONS /v1/predict HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(options.status == 204);
  CHECK(options.Field("Allow") == "POST, OPTIONS");
  RawHttpClient client = fixture.Connect();
  CHECK(client.Ask("HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n", true).status == 200);
  CHECK(client.Ask(GetRequest("/health/live")).status == 200);
}

TEST_CASE("a listed page may call and read, others may not") {
  Fixture fixture;
  const HttpAnswer preflight = fixture.Ask(
      "OPTIONS /v1/predict HTTP/1.1\r\nHost: x\r\nOrigin: https://page.example\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: "
      "content-type\r\n\r\n");
  CHECK(preflight.status == 204);
  CHECK(preflight.Field("Access-Control-Allow-Origin") == "https://page.example");
  CHECK(preflight.Field("Access-Control-Allow-Methods") == "POST, OPTIONS");
  CHECK(fixture.PostImage("x", "Origin: https://page.example\r\n")
            .Field("Access-Control-Allow-Origin") == "https://page.example");
  const HttpAnswer other = fixture.PostImage("bad", "Origin: https://other.example\r\n");
  CHECK(other.Field("Access-Control-Allow-Origin").empty());
  CHECK(other.Field("Vary") == "Origin");
}

TEST_CASE("health tells the whole picture") {
  Fixture fixture;
  CHECK(Eventually(
      [&] { return json::parse(fixture.Ask(GetRequest("/health")).body)["status"] == "ok"; }));
  const json ok = json::parse(fixture.Ask(GetRequest("/health")).body);
  CHECK(ok["version"] == "9.9");
  CHECK(ok["model"] == "fake-model");
  CHECK(ok["demo"] == true);
  CHECK(ok["uptime_seconds"].get<double>() >= 0);
  CHECK(ok["components"]["embedding"]["replicas_ready"] == 2);
  CHECK(ok["components"]["shared_cache"]["status"] == "off");

  fixture.classifier.service().SetEmbeddingReady(0);
  const HttpAnswer degraded = fixture.Ask(GetRequest("/health"));
  CHECK(degraded.status == 200);
  CHECK(json::parse(degraded.body)["status"] == "degraded");
  fixture.classifier.service().FailUnary(Error(Reason::kLoading, "loading"));
  const HttpAnswer loading = fixture.Ask(GetRequest("/health"));
  CHECK(loading.status == 503);
  CHECK(json::parse(loading.body)["status"] == "loading");
}

TEST_CASE("readiness does not depend on the classifier, health says that it is gone") {
  Fixture fixture;
  fixture.classifier.Stop();
  CHECK(fixture.Ask(GetRequest("/health/ready")).status == 200);
  CHECK(fixture.Ask(GetRequest("/health/live")).status == 200);
  const HttpAnswer health = fixture.Ask(GetRequest("/health"));
  CHECK(json::parse(health.body)["status"] == "degraded");
  CHECK(json::parse(health.body)["components"]["classifier"]["status"] == "down");
  const HttpAnswer predict = fixture.PostImage("x", "X-Request-Timeout-Ms: 1500\r\n");
  CHECK((predict.status == 503 || predict.status == 504));
  CHECK(predict.body.find("127.0.0.1") == std::string::npos);
  CHECK(fixture.Ask(GetRequest("/v1/model")).status >= 503);
}

TEST_CASE("a session is forgotten by its key, and 503 says that it may be repeated") {
  Fixture fixture;
  const std::string ask = "DELETE /v1/sessions/user123 HTTP/1.1\r\nHost: x\r\n\r\n";
  const HttpAnswer done = fixture.Ask(ask);
  CHECK(done.status == 204);
  CHECK(done.body.empty());
  const auto deleted = fixture.classifier.service().deleted();
  REQUIRE(deleted.size() == 1);
  CHECK(deleted[0].session_key() ==
        Identity("0123456789abcdef", CacheScope::kSubject).SessionKey("user123"));
  CHECK(deleted[0].deleted_at_us() > 1'600'000'000'000'000);
  fixture.classifier.service().FailUnary(absl::UnavailableError("redis at 10.1.2.3"));
  const HttpAnswer failed = fixture.Ask(ask);
  CHECK(failed.status == 503);
  CHECK_FALSE(failed.Field("Retry-After").empty());
  CHECK(failed.body.find("10.1.2.3") == std::string::npos);
  CHECK(fixture.Ask("DELETE /v1/sessions/a%20b HTTP/1.1\r\nHost: x\r\n\r\n").status == 400);
  CHECK(fixture.Ask("DELETE /v1/sessions/a%2fb HTTP/1.1\r\nHost: x\r\n\r\n").status == 404);
}

TEST_CASE("model card, metrics and description are served") {
  Fixture fixture;
  const json card = json::parse(fixture.Ask(GetRequest("/v1/model")).body);
  CHECK(card["model"] == "fake-model");
  CHECK(card["limits"]["max_body_bytes"] == kMaxBody);
  CHECK(card["limits"]["request_timeout_ms"] == 5000);
  fixture.PostImage("x");
  const HttpAnswer metrics = fixture.Ask(GetRequest("/metrics"));
  CHECK(metrics.Field("Content-Type").starts_with("text/plain; version=0.0.4"));
  CHECK(metrics.body.find(
            R"(emotion_requests_total{code="OK",method="/v1/predict",service="gateway"} 1)") !=
        std::string::npos);
}

// The document describes what is served, no more and no less.

TEST_CASE("every route stands in the OpenAPI document, and every path of it is a route") {
  Fixture fixture;
  const json document = json::parse(fixture.Ask(GetRequest("/openapi.json")).body);
  CHECK(document["openapi"] == "3.1.0");
  std::set<std::string> described;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) described.insert(method + " " + path);
  }
  const std::set<std::string> served = {
      "post /v1/predict",    "post /predict", "post /v1/predict/batch",
      "post /predict/batch", "get /v1/model", "delete /v1/sessions/{id}",
      "get /v1/stream",      "get /health",   "get /health/live",
      "get /health/ready",   "get /metrics",  "get /openapi.json"};
  CHECK(described == served);
  for (const std::string& entry : described) {
    const size_t space = entry.find(' ');
    std::string path = entry.substr(space + 1);
    if (const size_t open = path.find('{'); open != std::string::npos) path.resize(open);
    // A method that no route has: the path is known when the answer is 405, and lists the rest.
    const HttpAnswer answer = fixture.Ask(fmt::format("PATCH {}{} HTTP/1.1\r\nHost: x\r\n\r\n",
                                                      path, path.ends_with('/') ? "id" : ""));
    INFO(entry);
    CHECK(answer.status == 405);
    std::string method = entry.substr(0, space);
    for (char& c : method) c = static_cast<char>(std::toupper(c));
    CHECK(answer.Field("Allow").find(method) != std::string::npos);
  }
}

TEST_CASE("the page is served with its policy, and nothing beside it") {
  GatewayOptions options = SmallOptions();
  options.web_directory = EMOTION_SOURCE_DIR "/web";
  Fixture fixture(std::move(options));
  const HttpAnswer page = fixture.Ask(GetRequest("/"));
  CHECK(page.status == 200);
  CHECK(page.Field("Content-Type") == "text/html; charset=utf-8");
  CHECK(page.Field("Content-Security-Policy").find("'wasm-unsafe-eval'") != std::string::npos);
  const std::string etag = page.Field("ETag");
  CHECK(fixture.Ask(GetRequest("/", "If-None-Match: " + etag + "\r\n")).status == 304);
  CHECK(fixture.Ask(GetRequest("/package.json")).status == 404);
  CHECK(fixture.Ask(GetRequest("/../CMakeLists.txt")).status == 404);
  CHECK(fixture.Ask(PostRequest("/", "text/plain", "x")).status == 405);
}

TEST_CASE("draining answers what was accepted, says so, and then closes the port") {
  Fixture fixture;
  RawHttpClient busy = fixture.Connect();
  busy.Send(PostRequest("/v1/predict", "image/jpeg", "held face"));
  fixture.classifier.service().WaitForHeld(1);
  fixture.server->BeginDrain();
  CHECK_FALSE(fixture.server->ready());
  const HttpAnswer ready = fixture.Ask(GetRequest("/health/ready"));
  CHECK(ready.status == 503);
  CHECK(json::parse(ready.body)["reason"] == "DRAINING");
  CHECK(ready.Field("Connection") == "close");
  CHECK(json::parse(fixture.Ask(GetRequest("/health")).body)["status"] == "draining");
  CHECK(fixture.PostImage("still taken").status == 200);
  std::thread stop([&] { fixture.server->Stop(steady_clock::now() + std::chrono::seconds(10)); });
  CHECK(Eventually([&] { return !fixture.Connect().connected(); }));
  fixture.classifier.service().ReleaseHeld();
  CHECK(LevelIn(busy.Read()) == LevelOfBytes("held face"));
  stop.join();
}

TEST_CASE("an in-process channel serves as well as the network") {
  FakeClassifierServer classifier;
  GatewayOptions options = SmallOptions();
  options.classifier_channel = classifier.InProcessChannel();
  Metrics metrics{BuildInfo{"9.9", ""}};
  auto server = GatewayServer::Start(std::move(options), {.metrics = metrics}).value();
  RawHttpClient client(server->port());
  const HttpAnswer answer = client.Ask(PostRequest("/predict", "image/png", "in process"));
  CHECK(LevelIn(answer) == LevelOfBytes("in process"));
  CHECK(client.Ask(GetRequest("/v1/model")).status == 200);
  server->Stop(steady_clock::now() + std::chrono::seconds(2));
  server.reset();
  classifier.Stop();
}

TEST_CASE("settings that this release cannot honour end the start, and are named") {
  const auto from = [](const std::vector<std::string>& args) {
    const auto settings = Settings::Parse(args, {}, kGatewayRole);
    REQUIRE(settings.ok());
    return GatewayOptions::FromSettings(*settings);
  };
  CHECK(from({"--max-body-bytes=2MiB", "--cache-scope=global"})->max_body_bytes == 2U << 20);
  for (const std::string name : {"TLS_CERT_FILE", "JWT_KEYS_FILE", "API_KEYS_FILE"}) {
    std::string flag = "--" + name + "=x";
    for (char& c : flag) c = c == '_' ? '-' : static_cast<char>(std::tolower(c));
    const absl::Status status = from({flag}).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(std::string(status.message()).find(name) != std::string::npos);
  }
  CHECK_FALSE(from({"--rate-limit-images-per-minute=10"}).ok());
}

}  // namespace
}  // namespace emotion::gateway

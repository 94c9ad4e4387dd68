// A real gateway between raw HTTP clients and a fake classifier service over real gRPC.
#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "gateway/json_codec/base64.h"
#include "gateway/server.h"
#include "nlohmann/json.hpp"
#include "tests/fakes/eventually.h"
#include "tests/fakes/fake_classifier.h"
#include "tests/fakes/raw_http_client.h"

namespace emotion::gateway {
namespace {

using emotion::testing::Eventually;
using emotion::testing::FakeClassifierServer;
using emotion::testing::GetRequest;
using emotion::testing::HttpAnswer;
using emotion::testing::LevelOfBytes;
using emotion::testing::PostRequest;
using emotion::testing::RawHttpClient;
using nlohmann::json;
using std::chrono::steady_clock;

constexpr size_t kMaxBody = 4000;

GatewayOptions SmallOptions() {
  GatewayOptions options;
  options.host = "127.0.0.1";
  options.port = 0;
  options.cors_origins = {"https://page.example"};
  options.session_secret = "0123456789abcdef";
  options.web_directory = "";
  options.input = {.max_image_bytes = 2000,
                   .max_batch_images = 4,
                   .max_timeout = std::chrono::milliseconds(5000)};
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

std::string ImageJson(std::string_view image, std::string_view more = "") {
  return fmt::format(R"({{"image":"{}"{}}})", EncodeBase64(image), more);
}

uint32_t LevelIn(const HttpAnswer& answer) {
  return json::parse(answer.body)["predictions"]["Engagement"]["level"];
}

TEST_CASE("the three forms of a prediction give the answer of their image") {
  Fixture fixture;
  const HttpAnswer by_json = fixture.PostJson("/v1/predict", ImageJson("face one"));
  CHECK(by_json.status == 200);
  CHECK(LevelIn(by_json) == LevelOfBytes("face one"));
  const HttpAnswer legacy = fixture.PostJson("/predict", ImageJson("face two"));
  CHECK(LevelIn(legacy) == LevelOfBytes("face two"));
  CHECK(LevelIn(fixture.PostImage("face three")) == LevelOfBytes("face three"));
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nface four\r\n--b--\r\n";
  const HttpAnswer by_form =
      fixture.Ask(PostRequest("/v1/predict", "multipart/form-data; boundary=b", form));
  CHECK(LevelIn(by_form) == LevelOfBytes("face four"));
  const HttpAnswer by_url = fixture.PostJson(
      "/v1/predict", R"({"image":"data:image/png;base64,)" + EncodeBase64("face five") + "\"}");
  CHECK(LevelIn(by_url) == LevelOfBytes("face five"));
}

TEST_CASE("a prediction carries its header fields and members") {
  Fixture fixture;
  const HttpAnswer answer =
      fixture.PostJson("/v1/predict", ImageJson("x"), "X-Request-Id: my.id-1\r\n");
  const json body = json::parse(answer.body);
  CHECK(body["request_id"] == "my.id-1");
  CHECK(body["cached"] == true);
  CHECK(body["cache"] == "exact");
  CHECK(body["demo"] == true);
  CHECK(body["next_frame_after_ms"] == 2000);
  CHECK(body["processing_time_ms"].get<double>() > 0);
  CHECK(answer.Field("X-Request-Id") == "my.id-1");
  CHECK(answer.Field("Content-Type") == "application/json");
  CHECK(answer.Field("Cache-Control") == "no-store");
  CHECK(answer.Field("X-Content-Type-Options") == "nosniff");
  CHECK(answer.Field("Server-Timing").find("encode;dur=1.500") != std::string::npos);
}

TEST_CASE("a request id that is not one is replaced") {
  Fixture fixture;
  for (const char* id : {"a b", "\xc3\xa4", "<x>", ""}) {
    const HttpAnswer answer =
        fixture.Ask(GetRequest("/health/live", fmt::format("X-Request-Id: {}\r\n", id)));
    CHECK(answer.status == 200);
    CHECK(answer.Field("X-Request-Id") != id);
    CHECK_FALSE(answer.Field("X-Request-Id").empty());
  }
}

TEST_CASE("a frame says what the protocol asks of the first door") {
  Fixture fixture;
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  fixture.PostJson(
      "/v1/predict", ImageJson("x", R"(,"session_id":"user123","face_id":7)"),
      "X-Request-Timeout-Ms: 1234\r\nX-Request-Id: r1\r\ntraceparent: " + trace + "\r\n");
  REQUIRE(fixture.classifier.service().frames().size() == 1);
  const v1::Frame frame = fixture.classifier.service().frames()[0];
  const Identity identity("0123456789abcdef", CacheScope::kSubject);
  const IdentityKeys keys = identity.KeysFor("user123", "127.0.0.1");
  CHECK(frame.session_key() == keys.session_key);
  CHECK(frame.cache_scope() == keys.cache_scope);
  CHECK(frame.fairness_key() == keys.fairness_key);
  CHECK(frame.face_id() == 7);
  CHECK(frame.sequence() == 0);
  CHECK(frame.priority() == v1::PRIORITY_INTERACTIVE);
  CHECK(frame.cache_mode() == v1::CACHE_MODE_USE);
  CHECK(frame.detect() == v1::DETECT_OFF);
  CHECK(frame.timeout_ms() <= 1234);
  CHECK(frame.timeout_ms() > 0);
  CHECK(frame.request_id() == "r1");
  CHECK(frame.accepted_at_us() > 1'600'000'000'000'000);
  CHECK(frame.traceparent().substr(0, 36) == trace.substr(0, 36));
  CHECK(frame.traceparent() != trace);
}

TEST_CASE("Cache-Control decides the cache mode") {
  Fixture fixture;
  fixture.PostImage("x", "Cache-Control: no-cache\r\n");
  fixture.PostImage("x", "Cache-Control: no-store\r\n");
  const auto frames = fixture.classifier.service().frames();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].cache_mode() == v1::CACHE_MODE_BYPASS);
  CHECK(frames[1].cache_mode() == v1::CACHE_MODE_NO_STORE);
  CHECK(frames[0].session_key().empty());
}

TEST_CASE("in a batch each image has its own answer, and a bad one fails alone") {
  Fixture fixture;
  const std::string body =
      fmt::format(R"({{"images":["{}","!","{}","{}"],"face_ids":[1,2,3,1],"session_id":"s"}})",
                  EncodeBase64("face a"), EncodeBase64("bad"), EncodeBase64("face b"));
  for (const char* path : {"/v1/predict/batch", "/predict/batch"}) {
    const HttpAnswer answer = fixture.PostJson(path, body);
    CHECK(answer.status == 200);
    const json batch = json::parse(answer.body);
    CHECK(batch["failed"] == 2);
    REQUIRE(batch["results"].size() == 4);
    CHECK(batch["results"][0]["index"] == 0);
    CHECK(batch["results"][0]["predictions"]["Boredom"]["level"] == LevelOfBytes("face a"));
    CHECK(batch["results"][1]["error"]["errors"][0]["pointer"] == "/images/1");
    CHECK(batch["results"][2]["error"]["reason"] == "IMAGE_CORRUPT");
    CHECK(batch["results"][3]["predictions"]["Boredom"]["level"] == LevelOfBytes("face b"));
  }
  std::multiset<int> modes;
  for (const v1::Frame& frame : fixture.classifier.service().frames()) {
    modes.insert(frame.cache_mode());
  }
  CHECK(modes.count(v1::CACHE_MODE_EXACT_ONLY) == 4);  // face 1 stands there twice
  CHECK(modes.count(v1::CACHE_MODE_USE) == 2);
}

TEST_CASE("errors of the classifier become problem documents") {
  Fixture fixture;
  const HttpAnswer corrupt = fixture.PostImage("bad");
  CHECK(corrupt.status == 400);
  CHECK(corrupt.Field("Content-Type") == "application/problem+json");
  CHECK(json::parse(corrupt.body)["reason"] == "IMAGE_CORRUPT");
  const HttpAnswer full = fixture.PostImage("full");
  CHECK(full.status == 429);
  CHECK(full.Field("Retry-After") == "3");
  const HttpAnswer broken = fixture.PostImage("broken");
  CHECK(broken.status == 500);
  CHECK(broken.body.find("10.1.2.3") == std::string::npos);
  const HttpAnswer late = fixture.PostImage("held", "X-Request-Timeout-Ms: 100\r\n");
  CHECK(late.status == 504);
  CHECK(json::parse(late.body)["reason"] == "DEADLINE");
}

TEST_CASE("what is wrong with a request is said before any frame is sent") {
  Fixture fixture;
  const std::string deep = "{\"image\":" + std::string(1000, '[');
  const std::vector<std::tuple<std::string, std::string, int>> cases = {
      {"application/json", "", 400},
      {"application/json", "{", 400},
      {"application/json", deep, 400},
      {"application/json", "{}", 400},
      {"application/json", R"({"image":7})", 400},
      {"application/json", R"({"image":"data:image/jpeg;base64"})", 400},
      {"application/json", R"({"image":"data:image/gif;base64,AAAA"})", 415},
      {"application/json", R"({"image":"AAAA","image":"AAAA"})", 400},
      {"application/json", R"({"image":"AAAA","session_id":"../x"})", 400},
      {"application/json", R"({"image":"AAAA","detect":"crop"})", 400},
      {"application/json", ImageJson(std::string(2001, 'x')), 413},
      {"image/jpeg", std::string(2001, 'x'), 413},
      {"image/jpeg", "", 400},
      {"image/gif", "x", 415},
      {"text/plain", "x", 415},
      {"multipart/form-data; boundary=b", "--b", 400},
  };
  for (const auto& [type, body, status] : cases) {
    INFO(type << " " << body.substr(0, 100));
    const HttpAnswer answer = fixture.Ask(PostRequest("/v1/predict", type, body));
    CHECK(answer.status == status);
    CHECK(json::parse(answer.body)["status"] == status);
    CHECK_FALSE(json::parse(answer.body)["request_id"].get<std::string>().empty());
  }
  CHECK(fixture.PostImage("x", "X-Request-Timeout-Ms: soon\r\n").status == 400);
  CHECK(fixture.PostImage("x", "Content-Encoding: gzip\r\n").status == 415);
  CHECK(fixture.classifier.service().frames().empty());
}

TEST_CASE("bodies are taken up to MAX_BODY_BYTES") {
  Fixture fixture;
  const auto sized = [](size_t size) {
    std::string body = ImageJson("x", R"(,"fill":")");
    body.resize(body.size() - 1);
    body += std::string(size - body.size() - 2, 'f') + "\"}";
    return body;
  };
  CHECK(fixture.PostJson("/v1/predict", sized(kMaxBody - 1)).status == 200);
  CHECK(fixture.PostJson("/v1/predict", sized(kMaxBody)).status == 200);
  CHECK(fixture.PostJson("/v1/predict", sized(kMaxBody + 1)).status == 413);
}

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

TEST_CASE("a client that leaves withdraws its frames") {
  Fixture fixture;
  RawHttpClient single = fixture.Connect();
  single.Send(PostRequest("/v1/predict", "image/jpeg", "held"));
  fixture.classifier.service().WaitForHeld(1);
  single.Close();
  CHECK(Eventually([&] { return fixture.classifier.service().cancelled() == 1; }));
  RawHttpClient batch = fixture.Connect();
  const std::string held = EncodeBase64("held");
  batch.Send(PostRequest("/v1/predict/batch", "application/json",
                         fmt::format(R"({{"images":["{}","{}","{}"]}})", held, held, held)));
  fixture.classifier.service().WaitForHeld(3);
  batch.Close();
  CHECK(Eventually([&] { return fixture.classifier.service().cancelled() == 4; }));
  CHECK(fixture.PostImage("x").status == 200);
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

TEST_CASE("many clients at once each get the answer of their own image") {
  Fixture fixture;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      RawHttpClient client = fixture.Connect();
      for (int i = 0; i < 50; ++i) {
        const std::string image = fmt::format("client {} image {}", c, i);
        const HttpAnswer answer = client.Ask(PostRequest("/v1/predict", "image/jpeg", image));
        if (answer.status != 200 || LevelIn(answer) != LevelOfBytes(image)) ++wrong;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace emotion::gateway

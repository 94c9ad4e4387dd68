// Predictions over REST: what goes in, what comes out, what is refused.
#include <atomic>
#include <thread>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/integration/gateway/gateway_fixture.h"

namespace emotion::gateway {
namespace {

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

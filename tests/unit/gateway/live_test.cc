// A session of /v1/stream, without a socket and without a service.
#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"
#include "gateway/live/live_hub.h"
#include "nlohmann/json.hpp"
#include "tests/fakes/fake_live.h"

namespace emotion::gateway {
namespace {

using emotion::testing::FakeLiveBackend;
using emotion::testing::FakeWebSocket;
using nlohmann::json;
using std::chrono::milliseconds;

// One socket, as the transport would call it.
struct Live {
  explicit Live(LiveOptions options = {}) {
    options.now_us = [this] { return now_us; };
    hub = std::make_unique<LiveHub>(backend, identity, metrics, std::move(options));
    request.remote_address = "192.0.2.7";
    request.request_id = "sock";
    request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    session = hub->Open(request, socket);
  }

  void Text(std::string_view text) { session->OnText(text); }
  void Frame(uint64_t id, int face_id = 0) {
    Text(fmt::format(R"({{"type":"frame","id":{},"face_id":{}}})", id, face_id));
  }
  void Image(std::string image = "image") { session->OnBinary(std::move(image), nullptr); }
  void Answer(uint64_t ticket, const absl::Status& status = absl::OkStatus()) {
    backend.Answer(ticket, status);
    socket->Run();
  }
  // What was sent since the last call.
  std::vector<json> Said() {
    std::vector<json> said;
    for (const std::string& text : std::exchange(socket->sent, {})) {
      said.push_back(json::parse(text));
    }
    return said;
  }
  json SaidOnce() {
    const std::vector<json> said = Said();
    REQUIRE(said.size() == 1);
    return said[0];
  }
  void Start(std::string_view session_id = "user123") {
    Text(fmt::format(R"({{"type":"start","session_id":"{}"}})", session_id));
    CHECK(SaidOnce()["type"] == "ready");
  }

  FakeLiveBackend backend;
  Metrics metrics{BuildInfo{"9.9", ""}};
  Identity identity{"0123456789abcdef", CacheScope::kSubject};
  uint64_t now_us = 1'700'000'000'000'000;
  std::unique_ptr<LiveHub> hub;
  Request request;
  std::shared_ptr<FakeWebSocket> socket = std::make_shared<FakeWebSocket>();
  std::shared_ptr<WebSocketHandler> session;
};

std::string PointerOf(const json& error) { return error["problem"]["errors"][0]["pointer"]; }

TEST_CASE("the first start opens the session, a later one cannot change it") {
  Live live;
  live.backend.state.next_frame_after = milliseconds(40);
  live.Text(R"({"type":"start","session_id":"user123"})");
  const json ready = live.SaidOnce();
  CHECK(ready["session_id"] == "user123");
  CHECK(ready["model"] == "m1");
  CHECK(ready["demo"] == true);
  CHECK(ready["next_frame_after_ms"] == 40);
  live.Text(R"({"type":"start","access_token":"renewed"})");
  live.Text(R"({"type":"start","session_id":"user123"})");
  CHECK(live.Said().empty());
  live.Text(R"({"type":"start","session_id":"another"})");
  const json error = live.SaidOnce();
  CHECK(error["type"] == "error");
  CHECK_FALSE(error.contains("id"));
  CHECK(PointerOf(error) == "/session_id");
  live.Frame(1);
  live.Image();
  CHECK(live.backend.frames[0].session_key() == live.identity.SessionKey("user123"));
}

TEST_CASE("a frame before any start opens a session with a random id") {
  Live live;
  live.Image();
  const json ready = live.SaidOnce();
  const std::string id = ready["session_id"];
  CHECK(id.size() == 32);
  CHECK(live.backend.frames[0].session_key() == live.identity.SessionKey(id));
  Live other;
  other.Frame(5);
  CHECK(other.SaidOnce()["session_id"] != id);
}

TEST_CASE("a start that is refused opens nothing") {
  Live live;
  live.Text(R"({"type":"start","session_id":"user 123"})");
  CHECK(live.SaidOnce()["type"] == "error");
  live.Start("user124");
}

TEST_CASE("a lone image is the frame behind the last one") {
  Live live;
  live.Start();
  live.Image();
  live.Frame(40, 7);
  live.Image();
  live.Image();
  for (const uint64_t ticket : {1, 2, 3}) live.Answer(ticket);
  const auto said = live.Said();
  REQUIRE(said.size() == 3);
  CHECK(said[0]["id"] == 1);
  CHECK(said[1]["id"] == 40);
  CHECK(said[1]["face_id"] == 7);
  CHECK(said[2]["id"] == 41);
  CHECK(said[2]["face_id"] == 0);
  CHECK(live.backend.frames[1].face_id() == 7);
  live.Frame(kMaxFrameId);
  live.Image();
  live.Image();
  CHECK(PointerOf(live.SaidOnce()) == "/id");
  CHECK(live.backend.frames.size() == 4);
}

TEST_CASE("an id that is not answered yet cannot be used again, and can afterwards") {
  Live live;
  live.Start();
  live.Frame(1);
  live.Image("one");
  live.Frame(1, 2);
  json error = live.SaidOnce();
  CHECK(error["id"] == 1);
  CHECK(error["face_id"] == 2);
  CHECK(PointerOf(error) == "/id");
  live.Image("not used");
  live.Frame(0);
  live.Image("zero");
  live.Image("would be one");
  CHECK(live.SaidOnce()["problem"]["reason"] == "FIELD_INVALID");
  CHECK(live.backend.frames.size() == 2);
  live.Answer(1);
  CHECK(live.SaidOnce()["type"] == "prediction");
  live.Frame(1);
  live.Image("one again");
  CHECK(live.backend.frames.size() == 3);
}

TEST_CASE("a frame message without its image is answered with an error") {
  Live live;
  live.Start();
  live.Frame(1);
  live.Frame(2);
  const json error = live.SaidOnce();
  CHECK(error["id"] == 1);
  live.Image();
  live.Answer(1);
  CHECK(live.SaidOnce()["id"] == 2);
}

TEST_CASE("the image of a refused frame is not taken for another frame") {
  Live live;
  live.Start();
  live.Text(R"({"type":"frame","id":-1})");
  CHECK_FALSE(live.SaidOnce().contains("id"));
  live.Image();
  live.Text(R"({"type":"frame","id":9,"face_id":64})");
  CHECK(live.SaidOnce()["id"] == 9);
  live.session->OnDropped(WebSocketHandler::Dropped::kTooLarge, 1 << 30);
  CHECK(live.Said().empty());
  CHECK(live.backend.frames.empty());
  live.Image();
  CHECK(live.backend.frames.size() == 1);
  live.Answer(1);
  CHECK(live.SaidOnce()["id"] == 10);
}

TEST_CASE("an image that was thrown away is answered, with or without a frame message") {
  Live live;
  live.Start();
  live.Frame(3, 1);
  live.session->OnDropped(WebSocketHandler::Dropped::kTooLarge, 5 << 20);
  json error = live.SaidOnce();
  CHECK(error["id"] == 3);
  CHECK(error["face_id"] == 1);
  CHECK(error["problem"]["status"] == 413);
  live.session->OnDropped(WebSocketHandler::Dropped::kNoRoom, 100);
  error = live.SaidOnce();
  CHECK(error["id"] == 4);
  CHECK(error["problem"]["status"] == 429);
}

TEST_CASE("sequence is the clock, and rises when the clock does not") {
  Live live;
  live.Start();
  for (int i = 0; i < 3; ++i) live.Image();
  live.now_us -= 1000;
  live.Image();
  live.now_us += 1'000'000;
  live.Image();
  const auto& frames = live.backend.frames;
  CHECK(frames[0].sequence() == 1'700'000'000'000'000);
  for (size_t i = 1; i < 4; ++i) CHECK(frames[i].sequence() == frames[i - 1].sequence() + 1);
  CHECK(frames[4].sequence() == live.now_us);
  CHECK(frames[3].accepted_at_us() == 1'700'000'000'000'000 - 1000);
}

TEST_CASE("every result becomes the message of its kind, in whatever order they come") {
  Live live;
  live.Start();
  for (int i = 1; i <= 4; ++i) live.Image();
  live.Answer(4, Error(Reason::kImageCorrupt, "corrupt"));
  live.Answer(2, Error(Reason::kSuperseded, "newer"));
  live.Answer(3, Error(Reason::kInternal, "secret"));
  live.Answer(1);
  const auto said = live.Said();
  REQUIRE(said.size() == 4);
  CHECK(said[0]["id"] == 4);
  CHECK(said[0]["problem"]["reason"] == "IMAGE_CORRUPT");
  CHECK(said[1]["type"] == "superseded");
  CHECK(said[2]["problem"]["status"] == 500);
  CHECK(said[2].dump().find("secret") == std::string::npos);
  CHECK(said[3]["request_id"] == "sock.1");
}

TEST_CASE("at most so many frames are unanswered, and loading is said before any work") {
  absl::Status admit;
  Live live({.max_unanswered = 2, .admit = [&] { return admit; }});
  live.Start();
  for (int i = 0; i < 3; ++i) live.Image();
  json error = live.SaidOnce();
  CHECK(error["id"] == 3);
  CHECK(error["problem"]["reason"] == "QUEUE_FULL");
  live.Answer(1);
  live.Said();
  admit = Error(Reason::kLoading, "loading");
  live.Image();
  CHECK(live.SaidOnce()["problem"]["reason"] == "LOADING");
  live.Image("");
  CHECK(live.SaidOnce()["problem"]["reason"] == "FIELD_INVALID");
  CHECK(live.backend.frames.size() == 2);
}

TEST_CASE("the bytes of an image count as in flight until its answer") {
  std::atomic<size_t> total = 0;
  Live live;
  live.Start();
  auto charge = std::make_unique<BodyCharge>(total);
  REQUIRE(charge->GrowTo(100, 1000));
  live.session->OnBinary("image", std::move(charge));
  CHECK(total == 100);
  live.Answer(1);
  CHECK(total == 0);
  charge = std::make_unique<BodyCharge>(total);
  REQUIRE(charge->GrowTo(100, 1000));
  live.session->OnBinary("image", std::move(charge));
  live.session->OnClosed({});
  CHECK(total == 0);
}

TEST_CASE("another model is told once, to sessions that were told of one") {
  Live live;
  live.hub->ModelMayHaveChanged();
  live.socket->Run();
  CHECK(live.Said().empty());
  live.backend.state.model = "";
  live.Text(R"({"type":"start"})");
  CHECK(live.SaidOnce()["model"] == "");
  live.backend.state.model = "m2";
  for (int i = 0; i < 2; ++i) live.hub->ModelMayHaveChanged();
  live.socket->Run();
  CHECK(live.SaidOnce() == json{{"type", "model"}, {"model", "m2"}});
  live.backend.state.model = "";  // nobody is connected for a moment
  live.hub->ModelMayHaveChanged();
  live.socket->Run();
  CHECK(live.Said().empty());
}

TEST_CASE("a drain is told once, with a time within what is left") {
  Live live;
  live.hub->BeginDrain(milliseconds(800));
  live.session->OnDrain();
  live.session->OnDrain();
  const json draining = live.SaidOnce();
  CHECK(draining["reconnect_after_ms"] >= 80);
  CHECK(draining["reconnect_after_ms"] <= 800);
  live.Image();
  CHECK(live.backend.frames.size() == 1);
}

TEST_CASE("a stop answers what is left, then closes with 1012") {
  Live live;
  live.Start();
  live.Image();
  live.Image();
  live.session->OnDrain();
  live.session->OnStop();
  CHECK_FALSE(live.socket->close_code);
  live.Answer(2);
  CHECK_FALSE(live.socket->close_code);
  live.Answer(1);
  CHECK(live.socket->close_code == 1012);
  CHECK(live.Said().size() == 3);
  Live idle;
  idle.session->OnStop();
  CHECK(idle.socket->close_code == 1012);
}

TEST_CASE("a socket that ends withdraws its frames, and answers that come late go nowhere") {
  Live live;
  live.Start();
  for (int i = 0; i < 3; ++i) live.Image();
  live.backend.Answer(2);  // on its way when the socket ends
  live.session->OnClosed({});
  live.socket->Run();
  CHECK(live.backend.cancelled == std::vector<uint64_t>{1, 2, 3});
  CHECK(live.Said().empty());
  CHECK(live.backend.waiting.empty());
}

TEST_CASE("text that is no JSON object closes with 1003, an object never does") {
  Live live;
  live.Text(R"({"type":"nothing known"})");
  CHECK_FALSE(live.socket->close_code);
  live.Text("[1]");
  CHECK(live.socket->close_code == 1003);
}

TEST_CASE("a stop forgets what waits, sessions of a drained socket excepted") {
  Live live;
  live.Start("user123");
  live.session->OnClosed({});
  CHECK(live.backend.forgotten.empty());
  live.session = live.hub->Open(live.request, live.socket);
  live.Start("drained");
  live.session->OnDrain();
  live.session->OnClosed({});
  live.hub->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(5));
  REQUIRE(live.backend.forgotten.size() == 1);
  CHECK(live.backend.forgotten[0].session_key() == live.identity.SessionKey("user123"));
  CHECK(live.backend.forgotten[0].deleted_at_us() == live.now_us);
}

}  // namespace
}  // namespace emotion::gateway

// What is said on /v1/stream, both ways.
#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"
#include "gateway/live/client_message.h"
#include "gateway/live/live_backend.h"
#include "gateway/live/server_message.h"
#include "nlohmann/json.hpp"

namespace emotion::gateway {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

TEST_CASE("a client's messages are read strictly, and what is wrong names its member") {
  const auto refused = [](std::string_view text) {
    const auto message = ReadClientMessage(text);
    REQUIRE(message.ok());
    REQUIRE(std::holds_alternative<RefusedMessage>(*message));
    return std::get<RefusedMessage>(*message);
  };
  const auto pointer = [&](std::string_view text) {
    return ViolationsOf(refused(text).status).at(0).field;
  };
  CHECK(pointer("{}") == "type");
  CHECK(pointer(R"({"type":"stop"})") == "type");
  CHECK(pointer(R"({"type":7})") == "type");
  CHECK(pointer(R"({"type":"start","session_id":""})") == "session_id");
  CHECK(pointer(R"({"session_id":"a b","type":"start"})") == "session_id");
  CHECK(pointer(R"({"type":"start","session_id":7})") == "session_id");
  CHECK(pointer(R"({"type":"start","detect":"crop"})") == "detect");
  CHECK(pointer(R"({"type":"start","access_token":{}})") == "access_token");
  CHECK(pointer(R"({"type":"start","forget_on_close":"no"})") == "forget_on_close");
  CHECK(pointer(R"({"type":"frame"})") == "id");
  for (const char* id : {"-1", "1.5", "1.0", "9007199254740992", "1e3", "\"1\"", "true", "[1]"}) {
    INFO(id);
    const auto frame = refused(fmt::format(R"({{"type":"frame","id":{}}})", id));
    CHECK(ViolationsOf(frame.status).at(0).field == "id");
    CHECK(frame.is_frame);
    CHECK_FALSE(frame.id);
  }
  const auto face = refused(R"({"type":"frame","face_id":64,"id":5})");
  CHECK(ViolationsOf(face.status).at(0).field == "face_id");
  CHECK(face.id == 5);
  for (const char* text : {"", "null", "[]", "7", "\"start\"", "{", "{}x", R"({"a":1,"a":1})"}) {
    INFO(text);
    CHECK_FALSE(ReadClientMessage(text).ok());
  }
}

TEST_CASE("members that mean nothing for a message are ignored") {
  const auto start = ReadClientMessage(
      R"({"type":"start","id":"x","face_id":99,"new":{"deep":[1]},"session_id":null,"detect":"off"})");
  REQUIRE(std::holds_alternative<StartMessage>(*start));
  CHECK_FALSE(std::get<StartMessage>(*start).session_id);
  CHECK(std::get<StartMessage>(*start).forget_on_close);
  const auto frame =
      ReadClientMessage(R"({"id":9007199254740991,"session_id":7,"type":"frame","face_id":63})");
  REQUIRE(std::holds_alternative<FrameMessage>(*frame));
  CHECK(std::get<FrameMessage>(*frame).id == kMaxFrameId);
  CHECK(std::get<FrameMessage>(*frame).face_id == 63);
}

TEST_CASE("the server's messages are written as documented") {
  LiveState state{.model = "m\"1", .demo = false, .next_frame_after = milliseconds(250)};
  CHECK(Ready({.session_id = "s", .state = state, .max_image_bytes = 5, .max_unanswered = 6}) ==
        R"({"type":"ready","session_id":"s","model":"m\"1","limits":{"max_image_bytes":5,)"
        R"("max_unanswered":6},"next_frame_after_ms":250,"demo":false})");
  state = {};
  CHECK(Ready({.session_id = "s", .state = state}).ends_with(R"("next_frame_after_ms":0})"));
  CHECK(Superseded({.id = kMaxFrameId, .face_id = 63}) ==
        R"({"type":"superseded","id":9007199254740991,"face_id":63})");
  CHECK(ModelMessage("m") == R"({"type":"model","model":"m"})");
  CHECK(Draining(milliseconds(7)) == R"({"type":"draining","reconnect_after_ms":7})");
  const absl::Status status = FieldError("id", "is wrong");
  CHECK(ErrorMessage(std::nullopt, status, "r")
            .starts_with(R"({"type":"error","problem":{"type":"urn:)"));
  const json error = json::parse(ErrorMessage(FrameName{.id = 3, .face_id = 1}, status, "r"));
  CHECK(error["id"] == 3);
  CHECK(error["problem"]["request_id"] == "r");
  v1::PredictResult result;
  result.set_model("m");
  CHECK(Prediction({.id = 3, .face_id = 1}, result, milliseconds(2), "r")
            .starts_with(R"({"type":"prediction","id":3,"face_id":1,"predictions":{})"));
}

}  // namespace
}  // namespace emotion::gateway

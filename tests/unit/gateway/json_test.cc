#include "nlohmann/json.hpp"

#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/json_codec/answers.h"
#include "gateway/json_codec/base64.h"
#include "gateway/json_codec/json_reader.h"
#include "gateway/json_codec/json_text.h"

namespace emotion::gateway {
namespace {

// Writes down what it is told: "name=value" or "name[i]=value".
class Recorder : public JsonSink {
 public:
  absl::Status OnValue(std::string_view name, std::optional<size_t> index,
                       JsonValue&& value) override {
    std::string text;
    if (std::holds_alternative<JsonNull>(value)) text = "null";
    if (const auto* v = std::get_if<bool>(&value)) text = *v ? "true" : "false";
    if (const auto* v = std::get_if<int64_t>(&value)) text = std::to_string(*v);
    if (const auto* v = std::get_if<double>(&value)) text = fmt::format("{:.3g}", *v);
    if (const auto* v = std::get_if<std::string>(&value)) text = "'" + *v + "'";
    if (std::holds_alternative<JsonArray>(value)) text = "[]";
    if (std::holds_alternative<JsonObject>(value)) text = "{}";
    seen.push_back(index ? fmt::format("{}[{}]={}", name, *index, text)
                         : fmt::format("{}={}", name, text));
    return absl::OkStatus();
  }
  std::vector<std::string> seen;
};

std::vector<std::string> Read(std::string_view text) {
  Recorder recorder;
  const absl::Status status = ReadJsonObject(text, recorder);
  INFO(status);
  CHECK(status.ok());
  return recorder.seen;
}

bool Refused(std::string_view text) {
  Recorder recorder;
  const absl::Status status = ReadJsonObject(text, recorder);
  return ReasonOf(status) == Reason::kFieldInvalid;
}

std::string Nested(size_t arrays) {
  return "{\"a\":" + std::string(arrays, '[') + std::string(arrays, ']') + "}";
}

TEST_CASE("base64 of RFC 4648 decodes and encodes") {
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    CHECK(EncodeBase64(plain) == text);
    CHECK(DecodeBase64(text) == plain);
  }
}

TEST_CASE("every length and every byte survives base64") {
  std::mt19937 random(1);
  for (size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    CHECK(DecodeBase64(EncodeBase64(bytes)) == bytes);
  }
}

TEST_CASE("base64 that is not canonical is refused") {
  for (const std::string_view text :
       {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm9v====", "=g==", "Zg=v", "Zm9-",
        "Zm9_", "====", "Z===", "Zm9vZg==Zm9v"}) {
    INFO(text);
    CHECK_FALSE(DecodeBase64(text).has_value());
  }
  std::string nul = "Zm9v";
  nul[2] = '\0';
  CHECK_FALSE(DecodeBase64(nul).has_value());
}

TEST_CASE("data URLs of the three formats decode, in any case") {
  for (const std::string_view head : {"data:image/jpeg;base64,", "data:image/png;base64,",
                                      "data:image/webp;base64,", "DATA:image/JPEG;BASE64,", ""}) {
    CHECK(DecodeImageText(std::string(head) + "Zm9v", "image", 100).value() == "foo");
  }
}

TEST_CASE("a damaged data URL names the field") {
  for (const std::string_view text :
       {"data:image/jpeg;base64", "data:,Zm9v", "data:image/jpeg,Zm9v", "data:image/jpeg;base64,",
        "data:image/jpeg;base64,Zm9", "data:image/jpeg;base64,%%%%", ""}) {
    const absl::Status status = DecodeImageText(text, "images/3", 100).status();
    INFO(text);
    CHECK(ReasonOf(status) == Reason::kFieldInvalid);
    REQUIRE(ViolationsOf(status).size() == 1);
    CHECK(ViolationsOf(status)[0].field == "images/3");
  }
  CHECK(ReasonOf(DecodeImageText("data:image/gif;base64,Zm9v", "image", 100).status()) ==
        Reason::kImageUnsupported);
}

TEST_CASE("an image may have the largest size and not a byte more") {
  CHECK(DecodeImageText(EncodeBase64(std::string(99, 'x')), "image", 100).ok());
  CHECK(DecodeImageText(EncodeBase64(std::string(100, 'x')), "image", 100).ok());
  CHECK(ReasonOf(DecodeImageText(EncodeBase64(std::string(101, 'x')), "image", 100).status()) ==
        Reason::kImageTooLarge);
}

TEST_CASE("the members of the outermost object and the elements of its arrays are told") {
  CHECK(Read(R"({"a": 1, "b": ["x", 2, {"c": 3}, [4]], "d": {"e": [5]}, "f": null, "g": true})") ==
        std::vector<std::string>{"a=1", "b=[]", "b[0]='x'", "b[1]=2", "b[2]={}", "b[3]=[]", "d={}",
                                 "f=null", "g=true"});
  CHECK(Read("{}").empty());
  CHECK(Read(R"({"n": 18446744073709551615, "m": -9223372036854775808, "x": 1.5})") ==
        std::vector<std::string>{"n=1.84e+19", "m=-9223372036854775808", "x=1.5"});
}

TEST_CASE("JSON that is not one sound object is refused") {
  for (const std::string_view text : {"",
                                      " ",
                                      "[]",
                                      "1",
                                      "\"x\"",
                                      "null",
                                      "{",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{'a':1}",
                                      "{\"a\":1} x",
                                      "{\"a\":1}{}",
                                      "{\"a\":NaN}",
                                      "{\"a\":Infinity}",
                                      "{\"a\":1e999}",
                                      "{\"a\":01}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\n\"}",
                                      "// x\n{}"}) {
    INFO(text);
    CHECK(Refused(text));
  }
}

TEST_CASE("a name that stands in an object twice is refused at every depth") {
  CHECK(Refused(R"({"a": 1, "a": 2})"));
  CHECK(Refused(R"({"a": {"b": 1, "b": 2}})"));
  CHECK(Refused(R"({"a": [{"b": 1, "b": 2}]})"));
  CHECK(Read(R"({"a": {"b": 1}, "c": {"b": 2}})").size() == 2);
}

TEST_CASE("JSON may be nested 32 deep and not deeper") {
  CHECK_FALSE(Refused(Nested(30)));
  CHECK_FALSE(Refused(Nested(31)));
  CHECK(Refused(Nested(32)));
  CHECK(Refused(Nested(1'000'000)));
}

TEST_CASE("more names than any request needs are refused") {
  std::string text = "{";
  for (int i = 0; i < 2000; ++i) text += fmt::format("\"n{}\":0,", i);
  CHECK(Refused(text + "\"last\":0}"));
}

TEST_CASE("strings are escaped, and bytes that are not UTF-8 replaced") {
  CHECK(JsonString("a\"b\\c\n\t\r\x01") == R"("a\"b\\c\n\t\r\u0001")");
  CHECK(JsonString("\u00e4\u20ac\U0001F600") == "\"\u00e4\u20ac\U0001F600\"");
  for (const std::string_view bad :
       {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    CHECK_NOTHROW(nlohmann::json::parse(JsonString(bad)));
  }
}

TEST_CASE("numbers have fixed decimals and are never NaN") {
  const auto number = [](double value, int decimals) {
    std::string out;
    AppendJsonNumber(out, value, decimals);
    return out;
  };
  CHECK(number(0.87, 6) == "0.870000");
  CHECK(number(-1e-9, 6) == "0.000000");
  CHECK(number(-0.5, 1) == "-0.5");
  CHECK(number(std::numeric_limits<double>::quiet_NaN(), 6) == "0.000000");
  CHECK(number(std::numeric_limits<double>::infinity(), 3) == "0.000");
}

v1::PredictResult SomeResult() {
  v1::PredictResult result;
  for (int state = 1; state <= 4; ++state) {
    v1::StatePrediction* prediction = result.add_predictions();
    prediction->set_state(static_cast<v1::AffectiveState>(state));
    prediction->set_level(1);
    prediction->set_confidence(0.5F);
    for (const float p : {0.25F, 0.5F, 0.25F, 0.0F}) prediction->add_probabilities(p);
    prediction->set_expected_level(1.0F);
  }
  result.set_cache(v1::CACHE_OUTCOME_MISS);
  result.set_quality_usable(true);
  result.set_model("abc");
  return result;
}

TEST_CASE("a prediction has the documented members in their order") {
  const std::string json = PredictionJson(SomeResult(), Milliseconds(12.3456), "id-1");
  const std::string state =
      R"("level":1,"confidence":0.500000,"probabilities":[0.250000,0.500000,0.250000,0.000000],)"
      R"("expected_level":1.000000})";
  std::string predictions;
  for (const char* name : {"Boredom", "Engagement", "Confusion", "Frustration"}) {
    predictions += fmt::format(R"({}"{}":{{"category":"{}",{})", predictions.empty() ? "" : ",",
                               name, name, state);
  }
  CHECK(json == R"({"predictions":{)" + predictions +
                    R"(},"processing_time_ms":12.346,"cached":false,"cache":"miss",)"
                    R"("quality":{"usable":true,"warnings":[]},"next_frame_after_ms":0,)"
                    R"("model":"abc","demo":false,"request_id":"id-1"})");
}

TEST_CASE("the level is the one that was decided, not the one that rounding suggests") {
  v1::PredictResult result = SomeResult();
  result.mutable_predictions(0)->set_level(2);
  result.mutable_predictions(0)->set_probabilities(1, 0.4999999F);
  result.mutable_predictions(0)->set_probabilities(2, 0.5000001F);
  const auto json = nlohmann::json::parse(PredictionJson(result, Milliseconds(0), ""));
  CHECK(json["predictions"]["Boredom"]["level"] == 2);
  CHECK(json["predictions"]["Boredom"]["probabilities"][1] ==
        json["predictions"]["Boredom"]["probabilities"][2]);
}

TEST_CASE("similarity, face and warnings are written where they are") {
  v1::PredictResult result = SomeResult();
  result.set_cache(v1::CACHE_OUTCOME_NEAR);
  result.set_similarity(0.97F);
  result.add_quality_warnings(v1::QUALITY_WARNING_TOO_DARK);
  result.add_quality_warnings(static_cast<v1::QualityWarning>(99));  // of a later release
  result.mutable_face()->set_faces_found(2);
  result.mutable_predictions(0)->set_confidence(std::numeric_limits<float>::quiet_NaN());
  const auto json = nlohmann::json::parse(PredictionJson(result, Milliseconds(0), "\"\n"));
  CHECK(json["cached"] == true);
  CHECK(json["cache"] == "near");
  CHECK(json["similarity"] == Approx(0.97));
  CHECK(json["quality"]["warnings"] == nlohmann::json::array({"too_dark"}));
  CHECK(json["face"]["faces_found"] == 2);
  CHECK(json["predictions"]["Boredom"]["confidence"] == 0.0);
  CHECK(json["request_id"] == "\"\n");
}

TEST_CASE("only what a cache held is called cached") {
  v1::PredictResult result = SomeResult();
  for (const auto& [outcome, cached] :
       std::vector<std::pair<v1::CacheOutcome, bool>>{{v1::CACHE_OUTCOME_MISS, false},
                                                      {v1::CACHE_OUTCOME_EXACT, true},
                                                      {v1::CACHE_OUTCOME_NEAR, true},
                                                      {v1::CACHE_OUTCOME_COALESCED, false}}) {
    result.set_cache(outcome);
    const auto json = nlohmann::json::parse(PredictionJson(result, Milliseconds(0), ""));
    CHECK(json["cached"] == cached);
  }
}

TEST_CASE("Server-Timing lists the five stages in milliseconds") {
  v1::StageTimes times;
  times.set_decode_us(1200);
  times.set_encode_us(45678);
  CHECK(ServerTiming(times) ==
        "decode;dur=1.200, cache;dur=0.000, queue;dur=0.000, encode;dur=45.678, "
        "classify;dur=0.000");
}

TEST_CASE("the model card is sound JSON, also of an empty model") {
  const auto empty = nlohmann::json::parse(ModelCardJson({}, {}));
  CHECK(empty["states"].size() == 4);
  CHECK(empty["level_names"][0] == "very low");
  v1::GetModelResponse model;
  model.set_model("abc");
  model.mutable_encoder()->set_fingerprint(std::string("\x00\xff", 2));
  v1::Head* head = model.add_heads();
  head->set_state(v1::AFFECTIVE_STATE_CONFUSION);
  head->set_val_f1(0.5);
  head->set_temperature(1.25F);
  head->add_calibration_bias(0.5F);
  const auto card = nlohmann::json::parse(ModelCardJson(model, {.max_image_bytes = 5}));
  CHECK(card["encoder"]["fingerprint"] == "00ff");
  CHECK(card["heads"][0]["state"] == "Confusion");
  CHECK(card["heads"][0]["val_f1"] == 0.5);
  CHECK(card["heads"][0]["calibration"]["temperature"] == 1.25);
  CHECK(card["limits"]["max_image_bytes"] == 5);
}

}  // namespace
}  // namespace emotion::gateway

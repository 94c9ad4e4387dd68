#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/http/multipart.h"
#include "gateway/json_codec/base64.h"
#include "gateway/predict_input.h"

namespace emotion::gateway {
namespace {

constexpr InputLimits kLimits = {
    .max_image_bytes = 100, .max_batch_images = 3, .max_timeout = std::chrono::milliseconds(1000)};

Request WithBody(std::string_view type, std::string body) {
  Request request;
  request.method = "POST";
  request.headers.Add("Content-Type", type);
  request.body = std::move(body);
  return request;
}

Request Json(std::string body) { return WithBody("application/json", std::move(body)); }

// The field that the error names; "" when there is no error.
std::string BadField(const absl::Status& status) {
  const auto violations = ViolationsOf(status);
  return violations.empty() ? "" : violations[0].field;
}

std::string BadField(const Request& request) {
  return BadField(ReadPredictInput(request, kLimits).status());
}

std::string BadBatchField(std::string body) {
  return BadField(ReadBatchInput(Json(std::move(body)), kLimits).status());
}

TEST_CASE("a JSON request gives image, session and face; unknown members are ignored") {
  const auto input = ReadPredictInput(
      Json(R"({"image":"Zm9v","session_id":"a.B_9:@-","face_id":63,"detect":"off","x":{"y":[1]}})"),
      kLimits);
  REQUIRE(input.ok());
  CHECK(input->image == "foo");
  CHECK(input->session_id == "a.B_9:@-");
  CHECK(input->face_id == 63);
}

TEST_CASE("members that are null are as good as absent") {
  const auto input = ReadPredictInput(
      Json(R"({"image":"Zm9v","session_id":null,"face_id":null,"detect":null})"), kLimits);
  REQUIRE(input.ok());
  CHECK_FALSE(input->session_id.has_value());
  CHECK(input->face_id == 0);
}

TEST_CASE("what is missing or of a wrong type is named") {
  CHECK(BadField(Json("{}")) == "image");
  for (const char* value : {"1", "null", "true", "[]", "{}", "[\"Zm9v\"]", "\"\"", "\"Zm9\""}) {
    CHECK(BadField(Json(fmt::format(R"({{"image":{}}})", value))) == "image");
  }
  for (const char* value : {"1", "true", "[]", "{}", "\"\"", "\"a b\"", "\"a/b\"", "\"\\u0000\"",
                            "\"\\u00e4\"", "\"<script>\""}) {
    CHECK(BadField(Json(fmt::format(R"({{"image":"Zm9v","session_id":{}}})", value))) ==
          "session_id");
  }
  for (const char* value :
       {"-1", "64", "1.0", "1.5", "\"1\"", "true", "[]", "{}", "1e99", "99999999999999999999"}) {
    CHECK(BadField(Json(fmt::format(R"({{"image":"Zm9v","face_id":{}}})", value))) == "face_id");
  }
  for (const char* value : {"\"auto\"", "\"crop\"", "1", "\"\"", "\"OFF\""}) {
    CHECK(BadField(Json(fmt::format(R"({{"image":"Zm9v","detect":{}}})", value))) == "detect");
  }
}

TEST_CASE("session ids have 1 to 128 characters") {
  const auto with = [](size_t size) {
    return Json(fmt::format(R"({{"image":"Zm9v","session_id":"{}"}})", std::string(size, 's')));
  };
  CHECK(BadField(with(1)).empty());
  CHECK(BadField(with(127)).empty());
  CHECK(BadField(with(128)).empty());
  CHECK(BadField(with(129)) == "session_id");
}

TEST_CASE("an image body takes ids from the query and from header fields, which win") {
  Request request = WithBody("image/jpeg", "bytes");
  request.query = {{"session_id", "query"}, {"face_id", "5"}, {"unknown", "x"}};
  auto input = ReadPredictInput(request, kLimits);
  REQUIRE(input.ok());
  CHECK(input->image == "bytes");
  CHECK(input->session_id == "query");
  CHECK(input->face_id == 5);
  request.headers.Add("X-Session-Id", "header");
  request.headers.Add("X-Face-Id", "6");
  input = ReadPredictInput(request, kLimits);
  REQUIRE(input.ok());
  CHECK(input->session_id == "header");
  CHECK(input->face_id == 6);
}

TEST_CASE("an image body with bad ids, twice the same, empty or too large is refused") {
  const auto with_query = [](std::string name, std::string value) {
    Request request = WithBody("image/png", "bytes");
    request.query = {{std::move(name), std::move(value)}};
    return BadField(request);
  };
  CHECK(with_query("face_id", "64") == "face_id");
  CHECK(with_query("face_id", "") == "face_id");
  CHECK(with_query("face_id", "+1") == "face_id");
  CHECK(with_query("face_id", "0x1") == "face_id");
  CHECK(with_query("session_id", "") == "session_id");
  CHECK(with_query("detect", "auto") == "detect");
  Request twice = WithBody("image/png", "bytes");
  twice.query = {{"face_id", "1"}, {"face_id", "2"}};
  CHECK(BadField(twice) == "face_id");
  CHECK(BadField(WithBody("image/png", "")) == "image");
  CHECK(ReadPredictInput(WithBody("image/png", std::string(100, 'x')), kLimits).ok());
  CHECK(
      ReasonOf(ReadPredictInput(WithBody("image/png", std::string(101, 'x')), kLimits).status()) ==
      Reason::kImageTooLarge);
}

constexpr std::string_view kForm = "multipart/form-data; boundary=\"b-1\"";

std::string FormPart(std::string_view name, std::string_view content) {
  return fmt::format(
      "--b-1\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"x;y.jpg\"\r\n"
      "Content-Type: image/jpeg\r\n\r\n{}\r\n",
      name, content);
}

TEST_CASE("a form gives image, session and face") {
  const auto input = ReadPredictInput(
      WithBody(kForm, FormPart("image", "by\r\n--tes") + FormPart("session_id", "s") +
                          FormPart("face_id", "7") + FormPart("other", "") + "--b-1--\r\n"),
      kLimits);
  REQUIRE(input.ok());
  CHECK(input->image == "by\r\n--tes");
  CHECK(input->session_id == "s");
  CHECK(input->face_id == 7);
}

TEST_CASE("a form's bad parts are named") {
  CHECK(BadField(WithBody(kForm, FormPart("session_id", "s") + "--b-1--")) == "image");
  CHECK(BadField(WithBody(kForm, FormPart("image", "") + "--b-1--")) == "image");
  CHECK(BadField(WithBody(kForm, FormPart("image", "x") + FormPart("face_id", "x") + "--b-1--")) ==
        "face_id");
}

TEST_CASE("a damaged form is refused") {
  const std::string part = FormPart("image", "x");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"multipart/form-data", part + "--b-1--"},
      {"multipart/form-data; boundary=", part + "--b-1--"},
      {"multipart/form-data; boundary=" + std::string(71, 'b'), part + "--b-1--"},
      {std::string(kForm), ""},
      {std::string(kForm), "x"},
      {std::string(kForm), part},
      {std::string(kForm), part + "--b-1"},
      {std::string(kForm), part + part + "--b-1--"},
      {std::string(kForm), "--b-1\r\n\r\nx\r\n--b-1--"},
      {std::string(kForm), "--b-1\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b-1--"},
      {std::string(kForm), "--b-1\r\nno colon\r\n\r\nx\r\n--b-1--"},
      {std::string(kForm), "--b-1x\r\n\r\nx\r\n--b-1--"},
      {std::string(kForm),
       "--b-1\r\nContent-Disposition: form-data; name=image\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b-1--"},
      {std::string(kForm), "--b-1\r\nX: " + std::string(5000, 'x') + "\r\n\r\nx\r\n--b-1--"},
  };
  for (const auto& [type, body] : bad) {
    INFO(type << "\n" << body.substr(0, 200));
    CHECK(ReasonOf(ParseMultipart(body, type).status()) == Reason::kFieldInvalid);
  }
  std::string many;
  for (int i = 0; i < 65; ++i) many += FormPart(std::to_string(i), "x");
  CHECK_FALSE(ParseMultipart(many + "--b-1--", kForm).ok());
}

TEST_CASE("in a batch one bad image never fails the others") {
  const auto input = ReadBatchInput(Json(R"({"images":["Zm9v","!",7],"session_id":"s"})"), kLimits);
  REQUIRE(input.ok());
  REQUIRE(input->images.size() == 3);
  CHECK(*input->images[0] == "foo");
  CHECK(BadField(input->images[1].status()) == "images/1");
  CHECK(BadField(input->images[2].status()) == "images/2");
}

TEST_CASE("a batch whose envelope is not sound is refused") {
  CHECK(BadBatchField("{}") == "images");
  CHECK(BadBatchField(R"({"images":[]})") == "images");
  CHECK(BadBatchField(R"({"images":"Zm9v"})") == "images");
  CHECK(BadBatchField(R"({"images":null})") == "images");
  CHECK(BadBatchField(R"({"images":["Zm9v","Zm9v","Zm9v"]})").empty());
  CHECK(BadBatchField(R"({"images":["Zm9v","Zm9v","Zm9v","Zm9v"]})") == "images");
  CHECK(BadBatchField(R"({"images":["Zm9v"],"face_ids":[1,2]})") == "face_ids");
  CHECK(BadBatchField(R"({"images":["Zm9v"],"face_ids":1})") == "face_ids");
  CHECK(BadBatchField(R"({"images":["Zm9v"],"face_ids":[64]})") == "face_ids/0");
  CHECK(BadBatchField(R"({"images":["Zm9v"],"session_id":"a b"})") == "session_id");
  CHECK(BadBatchField(R"({"images":["Zm9v"],"detect":"crop"})") == "detect");
}

TEST_CASE("images without a face id of their own are matched exactly only") {
  const auto exact = [](std::string body) {
    return ReadBatchInput(Json(std::move(body)), kLimits)->exact_only;
  };
  CHECK(exact(R"({"images":["Zm9v","Zm9v"]})") == std::vector<bool>{true, true});
  CHECK(exact(R"({"images":["Zm9v","Zm9v"],"face_ids":[0,1]})") == std::vector<bool>{false, false});
  CHECK(exact(R"({"images":["Zm9v","Zm9v","Zm9v"],"face_ids":[2,1,2]})") ==
        std::vector<bool>{true, false, true});
}

TEST_CASE("the timeout is capped and must be a number; Cache-Control is understood") {
  const auto read = [](std::string_view name, std::string_view value) {
    Request request;
    request.headers.Add(name, value);
    return ReadCallOptions(request, kLimits);
  };
  CHECK(read("X", "")->timeout.count() == 1000);
  CHECK(read("X-Request-Timeout-Ms", "1")->timeout.count() == 1);
  CHECK(read("X-Request-Timeout-Ms", "999999999999")->timeout.count() == 1000);
  for (const char* bad : {"", "0", "-1", "1.5", "abc", "99999999999999999999"}) {
    CHECK(BadField(read("X-Request-Timeout-Ms", bad).status()) == "X-Request-Timeout-Ms");
  }
  CHECK(read("Cache-Control", "max-age=0")->cache == CacheUse::kUse);
  CHECK(read("Cache-Control", "max-age=0, No-Cache")->cache == CacheUse::kBypass);
  CHECK(read("Cache-Control", "no-cache, no-store")->cache == CacheUse::kNoStore);
}

}  // namespace
}  // namespace emotion::gateway

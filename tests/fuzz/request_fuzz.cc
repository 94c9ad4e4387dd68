// Any bytes as a request: the parsers behind POST /v1/predict give an error or an input that keeps
// its promises. The first byte picks the form.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/error/error.h"
#include "gateway/http/multipart.h"
#include "gateway/http/problem.h"
#include "gateway/http/target.h"
#include "gateway/json_codec/base64.h"
#include "gateway/json_codec/json_text.h"
#include "gateway/predict_input.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {
namespace {

constexpr InputLimits kLimits = {
    .max_image_bytes = 256, .max_batch_images = 4, .max_timeout = std::chrono::milliseconds(1000)};

void Require(bool condition) {
  if (!condition) std::abort();
}

Request WithBody(std::string_view type, std::string_view body) {
  Request request;
  request.headers.Add("Content-Type", type);
  request.body = body;
  return request;
}

void Predict(std::string_view type, std::string_view body) {
  const auto input = ReadPredictInput(WithBody(type, body), kLimits);
  if (!input.ok()) {
    Require(HttpStatusOf(input.status()) < 500);
    Require(!Problem(input.status(), "id").body.empty());
    return;
  }
  Require(!input->image.empty() && input->image.size() <= kLimits.max_image_bytes);
  Require(input->face_id <= 63);
  Require(!input->session_id || IsValidSessionId(*input->session_id));
}

void PredictBatch(std::string_view body) {
  const auto input = ReadBatchInput(WithBody("application/json", body), kLimits);
  if (!input.ok()) return;
  Require(!input->images.empty() && input->images.size() <= kLimits.max_batch_images);
  Require(input->exact_only.size() == input->images.size());
  Require(input->face_ids.empty() || input->face_ids.size() == input->images.size());
}

void Header(std::string_view text) {
  const auto target = ParseTarget(text);
  if (target)
    Require(target->path.starts_with('/') && target->path.find('\0') == std::string::npos);
  Request request = WithBody("image/jpeg", "x");
  if (target) request.query = target->query;
  request.headers.Add("X-Session-Id", text);
  request.headers.Add("X-Request-Timeout-Ms", text);
  const auto call = ReadCallOptions(request, kLimits);
  if (call.ok()) Require(call->timeout.count() >= 1 && call->timeout <= kLimits.max_timeout);
  const auto input = ReadPredictInput(request, kLimits);
  if (input.ok()) Require(IsValidSessionId(*input->session_id));
}

void Base64(std::string_view text) {
  const auto bytes = DecodeBase64(text);
  if (bytes) Require(EncodeBase64(*bytes) == text);  // canonical: one text for one value
  Require(DecodeBase64(EncodeBase64(text)) == text);
  std::string json = R"({"image":"eA==","x":)";
  AppendJsonString(json, text);
  json.push_back('}');
  Require(ReadPredictInput(WithBody("application/json", json), kLimits).ok());
}

void Parse(uint8_t form, std::string_view body) {
  switch (form % 5) {
    case 0:
      return Predict("application/json", body);
    case 1:
      return PredictBatch(body);
    case 2:
      return Predict("multipart/form-data; boundary=b", body);
    case 3:
      return Header(body);
    default:
      return Base64(body);
  }
}

}  // namespace
}  // namespace emotion::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  emotion::gateway::Parse(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}

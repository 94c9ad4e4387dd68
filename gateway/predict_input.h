// What a request asks for: the three forms of POST /v1/predict and the JSON of a batch, checked.
//
//   application/json       {"image", "session_id", "face_id", "detect"}
//   image/jpeg, png, webp  the body is the image; X-Session-Id, X-Face-Id or the query say the rest
//   multipart/form-data    parts image, session_id, face_id, detect
//
// Pure functions on a request in memory: no socket, no clock. Every error names the field, as a
// path
// ("image", "images/3", "X-Face-Id").
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/http/message.h"
#include "gateway/json_codec/json_reader.h"

namespace emotion::gateway {

struct InputLimits {
  size_t max_image_bytes = size_t{4} << 20;
  size_t max_batch_images = 32;
  std::chrono::milliseconds max_timeout{10'000};  // also the default
};

enum class CacheUse { kUse, kBypass, kNoStore };  // Cache-Control: none, no-cache, no-store

// IMAGE_TOO_LARGE, or FIELD_INVALID for nothing at all; the field is "image".
absl::Status CheckImageSize(size_t bytes, const InputLimits& limits);

// The rules of single fields, for every door: 1 to 128 of [A-Za-z0-9._:@-]; "off", since this
// server does not look for faces; 0 to 63.
absl::Status CheckSessionId(std::string_view field, std::string_view id);
absl::Status CheckDetect(std::string_view field, std::string_view detect);
absl::StatusOr<uint32_t> ReadFaceId(std::string_view field, const JsonValue& value);

// What the header says of any prediction.
struct CallOptions {
  std::chrono::milliseconds timeout{10'000};
  CacheUse cache = CacheUse::kUse;
};

struct PredictInput {
  std::string image;
  std::optional<std::string> session_id;
  uint32_t face_id = 0;
};

struct BatchInput {
  std::vector<absl::StatusOr<std::string>> images;  // a bad one fails alone
  std::optional<std::string> session_id;
  std::vector<uint32_t> face_ids;  // empty, or one per image
  // Per image: its face id is missing or stands there twice, so it is matched exactly only:
  // neither answered by a near frame nor, encoded, one for others.
  std::vector<bool> exact_only;
};

// X-Request-Timeout-Ms (1 and up; larger than the limit means the limit) and Cache-Control.
absl::StatusOr<CallOptions> ReadCallOptions(const Request& request, const InputLimits& limits);

// By Content-Type, which the caller has checked to be one of the above.
absl::StatusOr<PredictInput> ReadPredictInput(const Request& request, const InputLimits& limits);

// {"images": [...], "session_id", "face_ids": [...], "detect"}.
absl::StatusOr<BatchInput> ReadBatchInput(const Request& request, const InputLimits& limits);

// "image/jpeg" of "Image/JPEG; charset=x".
std::string MediaType(const Request& request);

}  // namespace emotion::gateway

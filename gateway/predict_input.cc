#include "gateway/predict_input.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"
#include "gateway/http/multipart.h"
#include "gateway/json_codec/base64.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {
namespace {

std::string FaceIdRule() { return fmt::format("must be an integer from 0 to {}", kMaxFaceId); }

// Text that must be a whole number, as headers, queries and parts carry it.
std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

absl::StatusOr<uint32_t> FaceId(std::string_view field, std::string_view text) {
  const auto number = WholeNumber(text);
  if (!number || *number < 0 || *number > kMaxFaceId) return FieldError(field, FaceIdRule());
  return static_cast<uint32_t>(*number);
}

bool IsNull(const JsonValue& value) { return std::holds_alternative<JsonNull>(value); }

// The members that a single prediction and a batch share. True: `name` was one of them.
absl::StatusOr<bool> TakeShared(std::string_view name, const JsonValue& value,
                                std::optional<std::string>& session_id) {
  if (name != "session_id" && name != "detect") return false;
  if (IsNull(value)) return true;  // as absent, which is how some clients write it
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return FieldError(name, "must be a string");
  if (name == "detect") {
    if (absl::Status status = CheckDetect(name, *text); !status.ok()) return status;
    return true;
  }
  if (absl::Status status = CheckSessionId(name, *text); !status.ok()) return status;
  session_id = *text;
  return true;
}

class PredictSink : public JsonSink {
 public:
  PredictSink(const InputLimits& limits, PredictInput& input) : limits_(limits), input_(input) {}

  absl::Status OnValue(std::string_view name, std::optional<size_t> index,
                       JsonValue&& value) override {
    if (index) return absl::OkStatus();
    const absl::StatusOr<bool> shared = TakeShared(name, value, input_.session_id);
    if (!shared.ok() || *shared) return shared.status();
    if (name == "face_id" && !IsNull(value)) {
      const absl::StatusOr<uint32_t> face = ReadFaceId(name, value);
      if (!face.ok()) return face.status();
      input_.face_id = *face;
    }
    return name == "image" ? TakeImage(value) : absl::OkStatus();
  }

  bool has_image() const { return has_image_; }

 private:
  absl::Status TakeImage(const JsonValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return FieldError("image", "must be a string: base64 or a data URL");
    absl::StatusOr<std::string> image = DecodeImageText(*text, "image", limits_.max_image_bytes);
    if (!image.ok()) return image.status();
    input_.image = *std::move(image);
    has_image_ = true;
    return absl::OkStatus();
  }

  const InputLimits& limits_;
  PredictInput& input_;
  bool has_image_ = false;
};

class BatchSink : public JsonSink {
 public:
  BatchSink(const InputLimits& limits, BatchInput& input) : limits_(limits), input_(input) {}

  absl::Status OnValue(std::string_view name, std::optional<size_t> index,
                       JsonValue&& value) override {
    if (name == "images") return index ? TakeImage(*index, value) : NeedArray(name, value);
    if (name == "face_ids") {
      if (index) return TakeFaceId(*index, value);
      return IsNull(value) ? absl::OkStatus() : NeedArray(name, value);
    }
    if (index) return absl::OkStatus();
    return TakeShared(name, value, input_.session_id).status();
  }

 private:
  static absl::Status NeedArray(std::string_view name, const JsonValue& value) {
    if (std::holds_alternative<JsonArray>(value)) return absl::OkStatus();
    return FieldError(name, "must be an array");
  }

  absl::Status TakeImage(size_t index, const JsonValue& value) {
    if (index >= limits_.max_batch_images) {
      return FieldError("images",
                        fmt::format("must hold at most {} images", limits_.max_batch_images));
    }
    const std::string field = fmt::format("images/{}", index);
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
      input_.images.push_back(FieldError(field, "must be a string: base64 or a data URL"));
    } else {
      input_.images.push_back(DecodeImageText(*text, field, limits_.max_image_bytes));
    }
    return absl::OkStatus();
  }

  absl::Status TakeFaceId(size_t index, const JsonValue& value) {
    if (index >= limits_.max_batch_images) {
      return FieldError("face_ids",
                        fmt::format("must hold at most {} ids", limits_.max_batch_images));
    }
    const absl::StatusOr<uint32_t> face = ReadFaceId(fmt::format("face_ids/{}", index), value);
    if (!face.ok()) return face.status();
    input_.face_ids.push_back(*face);
    return absl::OkStatus();
  }

  const InputLimits& limits_;
  BatchInput& input_;
};

absl::Status TakeText(std::string_view field, std::string_view name, std::string_view text,
                      PredictInput& input) {
  if (name == "session_id") {
    if (absl::Status status = CheckSessionId(field, text); !status.ok()) return status;
    input.session_id = text;
  } else if (name == "face_id") {
    const absl::StatusOr<uint32_t> face = FaceId(field, text);
    if (!face.ok()) return face.status();
    input.face_id = *face;
  } else if (name == "detect") {
    return CheckDetect(field, text);
  }
  return absl::OkStatus();
}

absl::StatusOr<PredictInput> ReadImageBody(const Request& request, const InputLimits& limits) {
  PredictInput input;
  if (absl::Status status = CheckImageSize(request.body.size(), limits); !status.ok()) {
    return status;
  }
  // The query first: the header fields win.
  std::set<std::string_view> seen;
  for (const auto& [name, value] : request.query) {
    if (!seen.insert(name).second) return FieldError(name, "stands in the query twice");
    if (absl::Status status = TakeText(name, name, value, input); !status.ok()) return status;
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kFields = {
      {{"X-Session-Id", "session_id"}, {"X-Face-Id", "face_id"}}};
  for (const auto& [header, name] : kFields) {
    const auto value = request.headers.Find(header);
    if (!value) continue;
    if (absl::Status status = TakeText(header, name, *value, input); !status.ok()) return status;
  }
  input.image = request.body;
  return input;
}

absl::StatusOr<PredictInput> ReadParts(const Request& request, const InputLimits& limits) {
  absl::StatusOr<std::vector<Part>> parts =
      ParseMultipart(request.body, *request.headers.Find("Content-Type"));
  if (!parts.ok()) return parts.status();
  PredictInput input;
  bool has_image = false;
  for (const Part& part : *parts) {
    absl::Status status;
    if (part.name == "image") {
      status = CheckImageSize(part.content.size(), limits);
      input.image = part.content;
      has_image = true;
    } else {
      status = TakeText(part.name, part.name, part.content, input);
    }
    if (!status.ok()) return status;
  }
  if (!has_image) return FieldError("image", "is missing");
  return input;
}

absl::StatusOr<PredictInput> ReadJson(const Request& request, const InputLimits& limits) {
  PredictInput input;
  PredictSink sink(limits, input);
  if (absl::Status status = ReadJsonObject(request.body, sink); !status.ok()) return status;
  if (!sink.has_image()) return FieldError("image", "is missing");
  return input;
}

std::vector<bool> ExactOnly(const BatchInput& input) {
  std::vector<bool> exact_only(input.images.size(), true);
  for (size_t i = 0; i < input.face_ids.size(); ++i) {
    exact_only[i] = std::ranges::count(input.face_ids, input.face_ids[i]) > 1;
  }
  return exact_only;
}

}  // namespace

absl::Status CheckSessionId(std::string_view field, std::string_view id) {
  if (IsValidSessionId(id)) return absl::OkStatus();
  return FieldError(
      field, fmt::format("must be 1 to 128 of A-Z a-z 0-9 . _ : @ -; has {} bytes", id.size()));
}

absl::Status CheckDetect(std::string_view field, std::string_view detect) {
  if (detect == "off") return absl::OkStatus();
  return FieldError(field, "must be off; this server does not look for faces");
}

absl::StatusOr<uint32_t> ReadFaceId(std::string_view field, const JsonValue& value) {
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr || *number < 0 || *number > kMaxFaceId) {
    return FieldError(field, FaceIdRule());
  }
  return static_cast<uint32_t>(*number);
}

absl::Status CheckImageSize(size_t bytes, const InputLimits& limits) {
  if (bytes == 0) return FieldError("image", "is empty");
  if (bytes <= limits.max_image_bytes) return absl::OkStatus();
  return WithViolation(
      Error(Reason::kImageTooLarge,
            fmt::format("image: {} bytes; at most {} are taken", bytes, limits.max_image_bytes)),
      {"image", fmt::format("must have at most {} bytes", limits.max_image_bytes)});
}

absl::StatusOr<CallOptions> ReadCallOptions(const Request& request, const InputLimits& limits) {
  CallOptions options{.timeout = limits.max_timeout};
  if (const auto text = request.headers.Find("X-Request-Timeout-Ms")) {
    const auto number = WholeNumber(*text);
    if (!number || *number < 1) {
      return FieldError("X-Request-Timeout-Ms", "must be a whole number of milliseconds from 1");
    }
    options.timeout = std::min(limits.max_timeout, std::chrono::milliseconds(*number));
  }
  if (request.headers.HasToken("Cache-Control", "no-store")) {
    options.cache = CacheUse::kNoStore;
  } else if (request.headers.HasToken("Cache-Control", "no-cache")) {
    options.cache = CacheUse::kBypass;
  }
  return options;
}

std::string MediaType(const Request& request) {
  std::string_view type = request.headers.Find("Content-Type").value_or("");
  std::string lower(TrimSpace(type.substr(0, type.find(';'))));
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return lower;
}

absl::StatusOr<PredictInput> ReadPredictInput(const Request& request, const InputLimits& limits) {
  const std::string type = MediaType(request);
  if (type == "application/json") return ReadJson(request, limits);
  if (type == "multipart/form-data") return ReadParts(request, limits);
  return ReadImageBody(request, limits);
}

absl::StatusOr<BatchInput> ReadBatchInput(const Request& request, const InputLimits& limits) {
  BatchInput input;
  BatchSink sink(limits, input);
  if (absl::Status status = ReadJsonObject(request.body, sink); !status.ok()) return status;
  if (input.images.empty()) return FieldError("images", "must hold at least one image");
  if (!input.face_ids.empty() && input.face_ids.size() != input.images.size()) {
    return FieldError("face_ids", fmt::format("must have one id per image: {} ids for {} images",
                                              input.face_ids.size(), input.images.size()));
  }
  input.exact_only = ExactOnly(input);
  return input;
}

}  // namespace emotion::gateway

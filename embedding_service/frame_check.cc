#include "embedding_service/frame_check.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "emotion/v1/frame.pb.h"

namespace emotion::embedding {
namespace {

constexpr size_t kRequestIdBytes = 64;
constexpr uint32_t kDefaultSide = 112;
constexpr uint32_t kLargestSide = 1U << 20;

// Collects what is wrong, field by field.
class Violations {
 public:
  void Check(bool ok, std::string_view field, std::string_view description) {
    if (ok) return;
    if (status_.ok()) {
      status_ = FieldError(field, description);
    } else {
      status_ = WithViolation(std::move(status_), {std::string(field), std::string(description)});
    }
  }

  void CheckKey(std::string_view field, const std::string& key) {
    Check(key.empty() || key.size() == kFrameKeyBytes, field,
          fmt::format("must have 0 or {} bytes; has {}", kFrameKeyBytes, key.size()));
  }

  // The violations of another check, or its error where it is of another kind.
  void Add(const absl::Status& status) {
    if (status_.ok()) {
      status_ = status;
      return;
    }
    for (const FieldViolation& violation : ViolationsOf(status)) {
      status_ = WithViolation(std::move(status_), violation);
    }
  }

  absl::Status Take() && { return std::move(status_); }

 private:
  absl::Status status_;
};

bool RequestIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

void CheckIdentity(const v1::Frame& frame, Violations* violations) {
  violations->Check(frame.frame_id() <= kMaxFrameId, "frame_id",
                    fmt::format("must be below 2^53; was {}", frame.frame_id()));
  violations->CheckKey("session_key", frame.session_key());
  violations->CheckKey("cache_scope", frame.cache_scope());
  violations->CheckKey("fairness_key", frame.fairness_key());
  violations->Check(frame.face_id() <= kMaxFaceId, "face_id",
                    fmt::format("must be 0 to {}; was {}", kMaxFaceId, frame.face_id()));
  const std::string& id = frame.request_id();
  violations->Check(
      id.size() <= kRequestIdBytes && std::all_of(id.begin(), id.end(), RequestIdCharacter),
      "request_id", fmt::format("must be at most {} of [A-Za-z0-9._-]", kRequestIdBytes));
}

template <class Enum>
void CheckKnown(std::string_view field, Enum value, bool known, Violations* violations) {
  violations->Check(known, field,
                    fmt::format("has no value {} in this release", static_cast<int>(value)));
}

void CheckModes(const v1::Frame& frame, Violations* violations) {
  CheckKnown("priority", frame.priority(), v1::Priority_IsValid(frame.priority()), violations);
  CheckKnown("cache_mode", frame.cache_mode(), v1::CacheMode_IsValid(frame.cache_mode()),
             violations);
  CheckKnown("resize", frame.resize(), v1::Resize_IsValid(frame.resize()), violations);
  CheckKnown("orientation", frame.orientation(), v1::Orientation_IsValid(frame.orientation()),
             violations);
  const bool off = frame.detect() == v1::DETECT_UNSPECIFIED || frame.detect() == v1::DETECT_OFF;
  violations->Check(off, "detect", "must be DETECT_OFF: this server has no face detector");
}

// In pixels; what no image could have is cut, so that it can still be named.
int Side(uint32_t side) {
  return static_cast<int>(side == 0 ? kDefaultSide : std::min(side, kLargestSide));
}

vision::PrepareOptions PrepareOf(const v1::Frame& frame, const FrameLimits& limits) {
  const bool heads = frame.resize() == v1::RESIZE_HEADS_INPUT;
  const bool exif = frame.orientation() == v1::ORIENTATION_APPLY_EXIF;
  return {.resize = heads ? vision::ResizeMode::kHeadsInput : vision::ResizeMode::kNative,
          .heads_input = {Side(frame.resize_width()), Side(frame.resize_height())},
          .max_patches = limits.max_patches,
          .orientation =
              exif ? vision::OrientationMode::kApplyExif : vision::OrientationMode::kIgnoreExif};
}

CacheUse CacheUseOf(v1::CacheMode mode) {
  if (mode == v1::CACHE_MODE_BYPASS) return CacheUse::kBypass;
  if (mode == v1::CACHE_MODE_NO_STORE) return CacheUse::kNoStore;
  if (mode == v1::CACHE_MODE_EXACT_ONLY) return CacheUse::kExactOnly;
  if (mode == v1::CACHE_MODE_BYPASS_EXACT_ONLY) return CacheUse::kBypassExactOnly;
  return CacheUse::kUse;
}

std::chrono::milliseconds TimeoutOf(const v1::Frame& frame, const FrameLimits& limits) {
  if (frame.timeout_ms() == 0) return limits.max_timeout;
  return std::min(limits.max_timeout, std::chrono::milliseconds(frame.timeout_ms()));
}

int64_t AcceptedAt(const v1::Frame& frame, int64_t now_us) {
  const uint64_t at = std::min<uint64_t>(frame.accepted_at_us(), INT64_MAX);
  return at == 0 ? now_us : static_cast<int64_t>(at);
}

}  // namespace

absl::StatusOr<FrameRequest> CheckFrame(v1::Frame& frame, const FrameLimits& limits,
                                        const vision::ImagePreparer& preparer, int64_t now_us) {
  const size_t bytes = frame.encoded_image().size();
  if (bytes > limits.max_image_bytes) {
    return Error(Reason::kImageTooLarge, fmt::format("the image has {} bytes; the limit is {}",
                                                     bytes, limits.max_image_bytes));
  }
  const vision::PrepareOptions prepare = PrepareOf(frame, limits);
  Violations violations;
  CheckIdentity(frame, &violations);
  CheckModes(frame, &violations);
  if (prepare.resize == vision::ResizeMode::kHeadsInput) {
    violations.Add(preparer.TargetSize(prepare.heads_input, prepare).status());
  }
  if (absl::Status status = std::move(violations).Take(); !status.ok()) return status;

  return FrameRequest{.image = std::move(*frame.mutable_encoded_image()),
                      .session = frame.session_key(),
                      .cache_scope = frame.cache_scope(),
                      .face_id = frame.face_id(),
                      .sequence = frame.sequence(),
                      .subject = frame.fairness_key(),
                      .request_id = frame.request_id(),
                      .timeout = TimeoutOf(frame, limits),
                      .accepted_at_us = AcceptedAt(frame, now_us),
                      .cache = CacheUseOf(frame.cache_mode()),
                      .interactive = frame.priority() != v1::PRIORITY_BATCH,
                      .resent = frame.attempt() > 0,
                      .prepare = prepare};
}

}  // namespace emotion::embedding

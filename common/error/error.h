// Errors of the whole project: an absl::Status that also says *why*, in a form for programs.
//
// Domain code makes errors with Error() and FieldError(); the doors (common/rpc/status for gRPC,
// gateway/http/problem for REST) read reason, field violations and retry delay back out. Reasons
// are part of the public contract: they travel as google.rpc.ErrorInfo (domain "emotion-api") and
// as "reason" in problem documents, so they are never renamed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace emotion {

enum class Reason {
  kUnspecified,
  kImageTooLarge,     // more bytes than MAX_IMAGE_BYTES
  kImageUnsupported,  // not JPEG, PNG or WebP, or a kind of them that we refuse
  kImageCorrupt,      // says it is an image and is not
  kImageDimensions,   // too large, too small, too thin
  kFieldInvalid,
  kRateLimited,
  kQueueFull,
  kSuperseded,
  kDeadline,
  kDraining,
  kNoReplica,
  kModelMismatch,
  kTokenInvalid,
  kTokenExpired,
  kScopeMissing,
  kLoading,
  kBodyTooLarge,
  kFrameRefused,
  kCancelled,
  kInternal,
};

// "IMAGE_TOO_LARGE" for kImageTooLarge; "" for kUnspecified.
std::string_view ReasonName(Reason reason);

// The inverse; kUnspecified for names that this release does not know.
Reason ParseReason(std::string_view name);

// The code that belongs to a reason, from the one table in error.cc.
absl::StatusCode CodeOf(Reason reason);

// "INVALID_ARGUMENT" for absl::StatusCode::kInvalidArgument: gRPC's names.
std::string_view CodeName(absl::StatusCode code);

struct FieldViolation {
  std::string field;        // path of the field, such as "session_id" or "images/3"
  std::string description;  // what is wrong with it, with the limit
};

// An error with `reason` and the code that belongs to it. The message is for developers, names the
// value and the limit, and is shown to callers unless the code is INTERNAL or UNKNOWN.
[[nodiscard]] absl::Status Error(Reason reason, std::string_view message);

// FIELD_INVALID with one violation; the message is "<field>: <description>".
[[nodiscard]] absl::Status FieldError(std::string_view field, std::string_view description);

// The same error, with (another) field violation.
[[nodiscard]] absl::Status WithViolation(absl::Status status, const FieldViolation& violation);

// The same error, saying when to try again.
[[nodiscard]] absl::Status WithRetry(absl::Status status, std::chrono::milliseconds delay);

// The reason put in by Error(); for a status made elsewhere the one that its code suggests
// (DEADLINE_EXCEEDED: kDeadline, CANCELLED: kCancelled, INTERNAL and UNKNOWN: kInternal), else
// kUnspecified. OK: kUnspecified.
Reason ReasonOf(const absl::Status& status);

std::vector<FieldViolation> ViolationsOf(const absl::Status& status);
std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status);

}  // namespace emotion

#include "common/error/error.h"

#include <array>
#include <charconv>

#include "absl/strings/cord.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr absl::string_view kReasonUrl = "emotion-api/reason";
constexpr absl::string_view kViolationsUrl = "emotion-api/violations";
constexpr absl::string_view kRetryUrl = "emotion-api/retry-ms";
// Separate the parts of the violations' payload; control characters, which no message holds.
constexpr char kUnitSeparator = '\x1f';
constexpr char kRecordSeparator = '\x1e';

struct ReasonRow {
  Reason reason;
  std::string_view name;
  absl::StatusCode code;
};

// The one table of reasons. Wire names are stable.
constexpr std::array kReasons = {
    ReasonRow{Reason::kUnspecified, "", absl::StatusCode::kUnknown},
    ReasonRow{Reason::kImageTooLarge, "IMAGE_TOO_LARGE", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kImageUnsupported, "IMAGE_UNSUPPORTED", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kImageCorrupt, "IMAGE_CORRUPT", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kImageDimensions, "IMAGE_DIMENSIONS", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kFieldInvalid, "FIELD_INVALID", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kRateLimited, "RATE_LIMITED", absl::StatusCode::kResourceExhausted},
    ReasonRow{Reason::kQueueFull, "QUEUE_FULL", absl::StatusCode::kResourceExhausted},
    ReasonRow{Reason::kSuperseded, "SUPERSEDED", absl::StatusCode::kAborted},
    ReasonRow{Reason::kDeadline, "DEADLINE", absl::StatusCode::kDeadlineExceeded},
    ReasonRow{Reason::kDraining, "DRAINING", absl::StatusCode::kUnavailable},
    ReasonRow{Reason::kNoReplica, "NO_REPLICA", absl::StatusCode::kUnavailable},
    ReasonRow{Reason::kModelMismatch, "MODEL_MISMATCH", absl::StatusCode::kUnavailable},
    ReasonRow{Reason::kTokenInvalid, "TOKEN_INVALID", absl::StatusCode::kUnauthenticated},
    ReasonRow{Reason::kTokenExpired, "TOKEN_EXPIRED", absl::StatusCode::kUnauthenticated},
    ReasonRow{Reason::kScopeMissing, "SCOPE_MISSING", absl::StatusCode::kPermissionDenied},
    ReasonRow{Reason::kLoading, "LOADING", absl::StatusCode::kUnavailable},
    ReasonRow{Reason::kBodyTooLarge, "BODY_TOO_LARGE", absl::StatusCode::kInvalidArgument},
    ReasonRow{Reason::kFrameRefused, "FRAME_REFUSED", absl::StatusCode::kUnavailable},
    ReasonRow{Reason::kCancelled, "CANCELLED", absl::StatusCode::kCancelled},
    ReasonRow{Reason::kInternal, "INTERNAL", absl::StatusCode::kInternal},
};

// Debian's Abseil is built for C++14, where absl::string_view is a type of its own.
absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

std::string PayloadText(const absl::Status& status, absl::string_view url) {
  const auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace

std::string_view ReasonName(Reason reason) { return kReasons[static_cast<size_t>(reason)].name; }

Reason ParseReason(std::string_view name) {
  for (const ReasonRow& row : kReasons) {
    if (row.name == name) return row.reason;
  }
  return Reason::kUnspecified;
}

absl::StatusCode CodeOf(Reason reason) { return kReasons[static_cast<size_t>(reason)].code; }

std::string_view CodeName(absl::StatusCode code) {
  constexpr std::array<std::string_view, 17> kNames = {"OK",
                                                       "CANCELLED",
                                                       "UNKNOWN",
                                                       "INVALID_ARGUMENT",
                                                       "DEADLINE_EXCEEDED",
                                                       "NOT_FOUND",
                                                       "ALREADY_EXISTS",
                                                       "PERMISSION_DENIED",
                                                       "RESOURCE_EXHAUSTED",
                                                       "FAILED_PRECONDITION",
                                                       "ABORTED",
                                                       "OUT_OF_RANGE",
                                                       "UNIMPLEMENTED",
                                                       "INTERNAL",
                                                       "UNAVAILABLE",
                                                       "DATA_LOSS",
                                                       "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

absl::Status Error(Reason reason, std::string_view message) {
  absl::Status status(CodeOf(reason), ToAbsl(message));
  status.SetPayload(kReasonUrl, absl::Cord(ToAbsl(ReasonName(reason))));
  return status;
}

absl::Status FieldError(std::string_view field, std::string_view description) {
  return WithViolation(Error(Reason::kFieldInvalid, fmt::format("{}: {}", field, description)),
                       {std::string(field), std::string(description)});
}

absl::Status WithViolation(absl::Status status, const FieldViolation& violation) {
  std::string records = PayloadText(status, kViolationsUrl);
  if (!records.empty()) records.push_back(kRecordSeparator);
  records += violation.field + kUnitSeparator + violation.description;
  status.SetPayload(kViolationsUrl, absl::Cord(records));
  return status;
}

absl::Status WithRetry(absl::Status status, std::chrono::milliseconds delay) {
  status.SetPayload(kRetryUrl, absl::Cord(std::to_string(delay.count())));
  return status;
}

Reason ReasonOf(const absl::Status& status) {
  if (const std::string name = PayloadText(status, kReasonUrl); !name.empty()) {
    return ParseReason(name);
  }
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return Reason::kDeadline;
    case absl::StatusCode::kCancelled:
      return Reason::kCancelled;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return Reason::kInternal;
    default:
      return Reason::kUnspecified;
  }
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  const std::string records = PayloadText(status, kViolationsUrl);
  if (records.empty()) return violations;
  std::string_view rest = records;
  while (!rest.empty()) {
    const std::string_view record = rest.substr(0, rest.find(kRecordSeparator));
    rest.remove_prefix(std::min(rest.size(), record.size() + 1));
    const size_t cut = record.find(kUnitSeparator);
    violations.push_back({std::string(record.substr(0, cut)), std::string(record.substr(cut + 1))});
  }
  return violations;
}

std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status) {
  const std::string text = PayloadText(status, kRetryUrl);
  int64_t milliseconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
  if (text.empty() || error != std::errc()) return std::nullopt;
  return std::chrono::milliseconds(milliseconds);
}

}  // namespace emotion

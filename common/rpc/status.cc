#include "common/rpc/status.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/error/error.h"
#include "common/text/utf8.h"
#include "google/rpc/error_details.pb.h"

namespace emotion {
namespace {

constexpr std::string_view kDomain = "emotion-api";
constexpr size_t kMaxMessageBytesOfStatus = 1024;
// Going out: message and details together stay below HTTP/2's 8 KiB of trailers, also when the
// message is percent-encoded and the details are base64.
constexpr size_t kMaxViolations = 6;
constexpr size_t kMaxFieldBytes = 100;
constexpr size_t kMaxDescriptionBytes = 200;
// Coming in.
constexpr int kMaxDetails = 16;
constexpr size_t kMaxDetailBytes = 8192;
constexpr int64_t kMaxRetrySeconds = 3600;

bool HidesMessage(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown;
}

absl::StatusCode CodeFromWire(int code) {
  const bool known = code >= 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

std::string PublicMessage(const absl::Status& status) {
  if (HidesMessage(status.code())) return "internal error";
  return CleanUtf8({status.message().data(), status.message().size()}, kMaxMessageBytesOfStatus);
}

// Violations are stored with control characters between them; none may come in from outside.
std::string CleanDetail(const std::string& text, size_t max_bytes) {
  std::string clean = CleanUtf8(text, max_bytes);
  std::replace_if(
      clean.begin(), clean.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return clean;
}

void AddErrorInfo(const absl::Status& status, google::rpc::Status* proto) {
  const Reason reason = ReasonOf(status);
  if (reason == Reason::kUnspecified) return;
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(ReasonName(reason)));
  info.set_domain(std::string(kDomain));
  proto->add_details()->PackFrom(info);
}

void AddViolations(const absl::Status& status, google::rpc::Status* proto) {
  google::rpc::BadRequest request;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    if (request.field_violations_size() == static_cast<int>(kMaxViolations)) break;
    auto* out = request.add_field_violations();
    out->set_field(CleanUtf8(violation.field, kMaxFieldBytes));
    out->set_description(CleanUtf8(violation.description, kMaxDescriptionBytes));
  }
  if (request.field_violations_size() > 0) proto->add_details()->PackFrom(request);
}

void AddRetry(const absl::Status& status, google::rpc::Status* proto) {
  const auto delay = RetryDelayOf(status);
  if (!delay || delay->count() < 0) return;
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay->count() / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay->count() % 1000) * 1'000'000);
  proto->add_details()->PackFrom(info);
}

// A status made anew with Error() keeps its reason only when the code agrees, so that a peer cannot
// say "OK, IMAGE_TOO_LARGE".
absl::Status WithReason(const absl::Status& status, Reason reason) {
  if (reason == Reason::kUnspecified || CodeOf(reason) != status.code()) return status;
  return Error(reason, {status.message().data(), status.message().size()});
}

// The first detail of type T that is not too large; an empty one when there is none.
template <class T>
T FirstDetail(const google::rpc::Status& proto) {
  T found;
  for (int i = 0; i < std::min(proto.details_size(), kMaxDetails); ++i) {
    const google::protobuf::Any& detail = proto.details(i);
    if (detail.value().size() <= kMaxDetailBytes && detail.UnpackTo(&found)) return found;
  }
  return T();
}

absl::Status AddDetails(absl::Status status, const google::rpc::Status& proto) {
  const auto info = FirstDetail<google::rpc::ErrorInfo>(proto);
  const auto request = FirstDetail<google::rpc::BadRequest>(proto);
  const auto retry = FirstDetail<google::rpc::RetryInfo>(proto);
  if (info.domain() == kDomain) status = WithReason(status, ParseReason(info.reason()));
  int violations = 0;
  for (const auto& violation : request.field_violations()) {
    if (++violations > static_cast<int>(kMaxViolations)) break;
    status = WithViolation(std::move(status),
                           {CleanDetail(violation.field(), kMaxFieldBytes),
                            CleanDetail(violation.description(), kMaxDescriptionBytes)});
  }
  if (retry.has_retry_delay()) {
    const auto& delay = retry.retry_delay();
    const int64_t seconds = std::clamp<int64_t>(delay.seconds(), 0, kMaxRetrySeconds);
    const int32_t nanos = std::clamp<int32_t>(delay.nanos(), 0, 999'999'999);
    status =
        WithRetry(std::move(status), std::chrono::milliseconds(seconds * 1000 + nanos / 1'000'000));
  }
  return status;
}

absl::Status FromParts(int code, const std::string& message, const google::rpc::Status& details) {
  const absl::StatusCode known = CodeFromWire(code);
  if (known == absl::StatusCode::kOk) return absl::OkStatus();
  const std::string text = CleanUtf8(message, kMaxMessageBytesOfStatus);
  return AddDetails(absl::Status(known, {text.data(), text.size()}), details);
}

}  // namespace

void ToProtoStatus(const absl::Status& status, google::rpc::Status* proto) {
  proto->Clear();
  if (status.ok()) return;
  proto->set_code(static_cast<int>(status.code()));
  proto->set_message(PublicMessage(status));
  AddErrorInfo(status, proto);
  AddViolations(status, proto);
  AddRetry(status, proto);
}

absl::Status FromProtoStatus(const google::rpc::Status& proto) {
  return FromParts(proto.code(), proto.message(), proto);
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status proto;
  ToProtoStatus(status, &proto);
  return {static_cast<grpc::StatusCode>(proto.code()), proto.message(), proto.SerializeAsString()};
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  google::rpc::Status details;
  const std::string& bytes = status.error_details();
  if (bytes.size() > kMaxDetailBytes || !details.ParseFromString(bytes)) details.Clear();
  return FromParts(status.error_code(), status.error_message(), details);
}

}  // namespace emotion

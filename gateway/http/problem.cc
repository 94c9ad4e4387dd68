#include "gateway/http/problem.h"

#include <array>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/json_codec/json_text.h"

namespace emotion::gateway {
namespace {

using Code = absl::StatusCode;

struct PhraseRow {
  int status;
  std::string_view phrase;
};

constexpr std::array kPhrases = {
    PhraseRow{100, "Continue"},
    PhraseRow{101, "Switching Protocols"},
    PhraseRow{200, "OK"},
    PhraseRow{204, "No Content"},
    PhraseRow{304, "Not Modified"},
    PhraseRow{400, "Bad Request"},
    PhraseRow{401, "Unauthorized"},
    PhraseRow{403, "Forbidden"},
    PhraseRow{404, "Not Found"},
    PhraseRow{405, "Method Not Allowed"},
    PhraseRow{408, "Request Timeout"},
    PhraseRow{409, "Conflict"},
    PhraseRow{411, "Length Required"},
    PhraseRow{413, "Content Too Large"},
    PhraseRow{415, "Unsupported Media Type"},
    PhraseRow{417, "Expectation Failed"},
    PhraseRow{426, "Upgrade Required"},
    PhraseRow{429, "Too Many Requests"},
    PhraseRow{431, "Request Header Fields Too Large"},
    PhraseRow{499, "Client Closed Request"},
    PhraseRow{500, "Internal Server Error"},
    PhraseRow{501, "Not Implemented"},
    PhraseRow{503, "Service Unavailable"},
    PhraseRow{504, "Gateway Timeout"},
};

struct CodeRow {
  Code code;
  int status;
};

constexpr std::array kCodes = {
    CodeRow{Code::kOk, 200},
    CodeRow{Code::kInvalidArgument, 400},
    CodeRow{Code::kFailedPrecondition, 400},
    CodeRow{Code::kOutOfRange, 400},
    CodeRow{Code::kUnauthenticated, 401},
    CodeRow{Code::kPermissionDenied, 403},
    CodeRow{Code::kNotFound, 404},
    CodeRow{Code::kAborted, 409},
    CodeRow{Code::kAlreadyExists, 409},
    CodeRow{Code::kResourceExhausted, 429},
    CodeRow{Code::kCancelled, 499},
    CodeRow{Code::kUnknown, 500},
    CodeRow{Code::kInternal, 500},
    CodeRow{Code::kDataLoss, 500},
    CodeRow{Code::kUnimplemented, 501},
    CodeRow{Code::kUnavailable, 503},
    CodeRow{Code::kDeadlineExceeded, 504},
};

// Codes of HTTP's own errors, for the member `code`, the log and the metrics.
std::string_view CodeOfHttp(int status) {
  switch (status) {
    case 404:
      return "NOT_FOUND";
    case 405:
      return "UNIMPLEMENTED";
    case 408:
      return "DEADLINE_EXCEEDED";
    case 503:
      return "UNAVAILABLE";
    default:
      return "INVALID_ARGUMENT";
  }
}

std::string_view PublicDetail(const absl::Status& status, int http_status) {
  if (http_status < 500) return {status.message().data(), status.message().size()};
  switch (ReasonOf(status)) {
    case Reason::kDraining:
      return "This server is about to stop; send the request again.";
    case Reason::kNoReplica:
      return "No replica can take the request right now.";
    case Reason::kModelMismatch:
      return "The replicas at hand run another model than the heads were trained for.";
    case Reason::kLoading:
      return "The models are still loading.";
    case Reason::kFrameRefused:
      return "This image was in flight when replicas ended abruptly, so it is not tried again.";
    case Reason::kDeadline:
      return "The time of the request ran out before its answer was ready.";
    default:
      break;
  }
  if (http_status == 501) return "This server does not do that.";
  if (http_status == 503) return "The service cannot be reached right now.";
  return "Something went wrong inside; the log names it under this request id.";
}

// Violations name fields as paths; documents want JSON pointers.
std::string Pointer(std::string_view field) {
  if (field.starts_with('/')) return std::string(field);
  return fmt::format("/{}", field);
}

void AppendErrors(std::string& out, const absl::Status& status) {
  out += ",\"errors\":[";
  bool first = true;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    if (!first) out.push_back(',');
    first = false;
    out += "{\"pointer\":";
    AppendJsonString(out, Pointer(violation.field));
    out += ",\"detail\":";
    AppendJsonString(out, violation.description);
    out.push_back('}');
  }
  out.push_back(']');
}

struct Document {
  int status;
  std::string_view detail;
  std::string_view code;
  std::string_view reason;
  std::string_view request_id;
};

std::string Head(const Document& document) {
  std::string out = "{\"type\":";
  AppendJsonString(out, document.reason.empty()
                            ? std::string("about:blank")
                            : fmt::format("urn:emotion-api:reason:{}", document.reason));
  out += ",\"title\":";
  AppendJsonString(out, StatusPhrase(document.status));
  out += fmt::format(",\"status\":{},\"detail\":", document.status);
  AppendJsonString(out, document.detail);
  out += ",\"code\":";
  AppendJsonString(out, document.code);
  out += ",\"reason\":";
  AppendJsonString(out, document.reason);
  out += ",\"request_id\":";
  AppendJsonString(out, document.request_id);
  return out;
}

Response MakeResponse(int status, std::string body, Facts facts) {
  Response response;
  response.status = status;
  response.headers.Add("Content-Type", "application/problem+json");
  response.headers.Add("Cache-Control", "no-store");
  response.body = std::move(body);
  response.facts = std::move(facts);
  return response;
}

int64_t RetryAfterSeconds(const absl::Status& status) {
  const auto delay = RetryDelayOf(status);
  if (!delay) return 1;
  return std::max<int64_t>(1, std::chrono::ceil<std::chrono::seconds>(*delay).count());
}

}  // namespace

int HttpStatusOf(const absl::Status& status) {
  switch (ReasonOf(status)) {
    case Reason::kImageTooLarge:
    case Reason::kBodyTooLarge:
      return 413;
    case Reason::kImageUnsupported:
      return 415;
    default:
      break;
  }
  for (const CodeRow& row : kCodes) {
    if (row.code == status.code()) return row.status;
  }
  return 500;
}

std::string_view StatusPhrase(int status) {
  for (const PhraseRow& row : kPhrases) {
    if (row.status == status) return row.phrase;
  }
  return "";
}

std::string ProblemJson(const absl::Status& status, std::string_view request_id) {
  const int http_status = HttpStatusOf(status);
  std::string out = Head({.status = http_status,
                          .detail = PublicDetail(status, http_status),
                          .code = CodeName(status.code()),
                          .reason = ReasonName(ReasonOf(status)),
                          .request_id = request_id});
  if (http_status < 500) {
    AppendErrors(out, status);
  } else {
    out += ",\"errors\":[]";
  }
  out.push_back('}');
  return out;
}

Response Problem(const absl::Status& status, std::string_view request_id) {
  const int http_status = HttpStatusOf(status);
  Response response = MakeResponse(http_status, ProblemJson(status, request_id),
                                   {.code = std::string(CodeName(status.code())),
                                    .reason = std::string(ReasonName(ReasonOf(status)))});
  if (http_status == 429 || http_status == 503) {
    response.headers.Add("Retry-After", std::to_string(RetryAfterSeconds(status)));
  }
  return response;
}

Response HttpProblem(int status, std::string_view detail, std::string_view request_id) {
  const std::string_view reason = status == 413 ? ReasonName(Reason::kBodyTooLarge) : "";
  const std::string_view code = CodeOfHttp(status);
  std::string body = Head({.status = status,
                           .detail = detail,
                           .code = code,
                           .reason = reason,
                           .request_id = request_id});
  body += ",\"errors\":[]}";
  Response response =
      MakeResponse(status, std::move(body),
                   {.code = std::string(code), .reason = std::string(reason), .refused = true});
  if (status == 503) response.headers.Add("Retry-After", "1");
  return response;
}

}  // namespace emotion::gateway

// Errors as problem documents (RFC 9457), from one table: the reason decides, then the code.
//
//   {"type", "title", "status", "detail", "code", "reason", "request_id", "errors": [{pointer,
//   detail}]}
//
// `code` is gRPC's name, `reason` a name of common/error's list. The detail of an answer of 500 and
// above is a fixed text of its reason: messages of our own insides (addresses of replicas, file
// names, texts of libraries) never leave the house; the log has them under the same request id.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "gateway/http/message.h"

namespace emotion::gateway {

// 200 for OK.
int HttpStatusOf(const absl::Status& status);

// "Not Found" for 404; "" for what this server never says.
std::string_view StatusPhrase(int status);

// The document as an object, for a place inside another answer (a result of a batch).
// REQUIRES: !status.ok().
std::string ProblemJson(const absl::Status& status, std::string_view request_id);

// The whole answer, with Retry-After where the status is 429 or 503. REQUIRES: !status.ok().
Response Problem(const absl::Status& status, std::string_view request_id);

// HTTP's own errors, which no absl::Status stands behind: 400, 404, 405, 408, 411, 413, 415, 417,
// 426, 431, 503. The caller adds Allow to a 405.
Response HttpProblem(int status, std::string_view detail, std::string_view request_id);

}  // namespace emotion::gateway

// The one mapper between our errors (common/error) and gRPC's: code and message, and as details of
// google.rpc.Status: ErrorInfo (reason, domain "emotion-api"), BadRequest and RetryInfo.
//
// Messages are made valid UTF-8 and cut at 1024 bytes; those of INTERNAL and UNKNOWN, which may
// tell about our insides, are replaced by "internal error" (log them before). Details are bounded
// so that they fit into HTTP/2's 8 KiB of trailers. What comes in is hostile: codes out of range
// are UNKNOWN, details are bounded in number and size, those of other domains are ignored.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace emotion {

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

// For the status that a frame's result carries. OK: code 0 and nothing else.
void ToProtoStatus(const absl::Status& status, google::rpc::Status* proto);
absl::Status FromProtoStatus(const google::rpc::Status& proto);

}  // namespace emotion

// All three services in one process, joined by local streams and, for the
// few unary calls, in-process channels: the embedded default.
//
// Started from the encoder outwards, stopped from the gateway inwards, each joined before the next:
// a call into a gRPC server of this process that was shut down crashes.
#pragma once

#include <memory>

#include "common/program/program.h"

namespace emotion::cli {

absl::StatusOr<std::unique_ptr<RunningServers>> StartWholeSystem(const StartContext& context);

}  // namespace emotion::cli

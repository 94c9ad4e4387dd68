#include "common/rpc/frame_limits.h"

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion {

absl::Status CheckSessionKey(std::string_view key) {
  if (key.size() == kFrameKeyBytes) return absl::OkStatus();
  return FieldError("session_key",
                    fmt::format("must have {} bytes; has {}", kFrameKeyBytes, key.size()));
}

}  // namespace emotion

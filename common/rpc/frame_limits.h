// What the fields of a frame may be, the same at every door: HTTP, sockets and gRPC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace emotion {

// JSON's numbers count no further, and the gateway's sockets number frames in JSON: 2^53 - 1.
inline constexpr uint64_t kMaxFrameId = (uint64_t{1} << 53) - 1;

inline constexpr uint32_t kMaxFaceId = 63;

// session_key, cache_scope and fairness_key, where they are not empty.
inline constexpr size_t kFrameKeyBytes = 16;

// FIELD_INVALID unless `key` has kFrameKeyBytes: for what is about one session, such as its end.
absl::Status CheckSessionKey(std::string_view key);

}  // namespace emotion

// JSON from files that nobody vouches for: bounded in size and nesting, no repeated keys.
//
// Internal to the sources of this folder; include it (and nlohmann/json) in .cc files only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace emotion::vision {

struct JsonLimits {
  size_t max_bytes = 1 << 20;
  int max_depth = 8;  // brackets and braces open at once
};

// Reads a whole regular file. NOT_FOUND when it is absent, INVALID_ARGUMENT when larger than
// `max_bytes` or unreadable; messages name the path.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

// Parses `text`; the top must be an object. Errors are INVALID_ARGUMENT: "<source>: what, where".
absl::StatusOr<nlohmann::json> ParseBoundedJson(std::string_view text, std::string_view source,
                                                const JsonLimits& limits = {});

}  // namespace emotion::vision

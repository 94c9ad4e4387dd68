// multipart/form-data (RFC 7578) of a body that is already in memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::gateway {

struct Part {
  std::string name;
  std::string content_type;  // "" when the part does not say
  std::string_view content;  // into the body
};

// The value of parameter `name` of a header value such as `multipart/form-data; boundary="x"`;
// "" when there is none. Quotes are removed.
std::string HeaderParameter(std::string_view value, std::string_view name);

// At most 64 parts. FIELD_INVALID when the boundary is missing or over 70 characters, the last
// boundary is missing, a part has no name, a header of over 4 KB, or a name that came before.
// The parts point into `body`.
absl::StatusOr<std::vector<Part>> ParseMultipart(std::string_view body,
                                                 std::string_view content_type);

}  // namespace emotion::gateway

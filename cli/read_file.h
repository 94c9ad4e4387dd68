// Whole files named on the command line.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace emotion::cli {

// NOT_FOUND or FAILED_PRECONDITION (over `max_bytes`), naming the file.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

}  // namespace emotion::cli

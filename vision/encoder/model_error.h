// The two errors of model files. Both end a start; neither is ever caused by a request.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace emotion::vision {

// INVALID_ARGUMENT: a file of the model is damaged, or is not of this model. The message names file
// and key or tensor, what was found and what was expected.
[[nodiscard]] absl::Status ModelError(std::string_view message);

// NOT_FOUND: a file of the model is not there.
[[nodiscard]] absl::Status ModelMissing(std::string_view message);

}  // namespace emotion::vision

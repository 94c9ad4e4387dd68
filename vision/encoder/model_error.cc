#include "vision/encoder/model_error.h"

#include "absl/strings/string_view.h"

namespace emotion::vision {

absl::Status ModelError(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}

absl::Status ModelMissing(std::string_view message) {
  return absl::NotFoundError(absl::string_view(message.data(), message.size()));
}

}  // namespace emotion::vision

// How much arithmetic an encode is: for benchmarks.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "vision/encoder/model_config.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

// Floating-point operations (a multiplication and an addition are two) of the matrix products of
// one batch, attention included: a face of 8 x 8 patches in the 7B tower is 82.9e9.
// INVALID_ARGUMENT when a grid does not fit the model.
absl::StatusOr<double> CountOperations(const VisionConfig& config, std::span<const Grid> grids);

}  // namespace emotion::vision

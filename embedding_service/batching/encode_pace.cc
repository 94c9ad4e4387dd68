#include "embedding_service/batching/encode_pace.h"

#include <algorithm>

namespace emotion::embedding {
namespace {

// A new measurement counts for a quarter: ten encodes forget a slow one, one does not set the pace.
constexpr double kWeight = 0.25;

}  // namespace

void EncodePace::Record(int64_t patches, std::chrono::nanoseconds duration) {
  if (patches <= 0) return;
  const double measured =
      static_cast<double>(std::max<int64_t>(duration.count(), 1)) / static_cast<double>(patches);
  nanoseconds_per_patch_ = nanoseconds_per_patch_ == 0
                               ? measured
                               : nanoseconds_per_patch_ * (1 - kWeight) + measured * kWeight;
}

std::chrono::nanoseconds EncodePace::Estimate(int64_t patches) const {
  return std::chrono::nanoseconds(static_cast<int64_t>(
      nanoseconds_per_patch_ * static_cast<double>(std::max<int64_t>(patches, 0))));
}

}  // namespace emotion::embedding

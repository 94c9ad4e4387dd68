#include "embedding_service/batching/encode_pace.h"

#include <algorithm>

namespace emotion::embedding {
namespace {

constexpr double kStep = 1.0 / 3;
constexpr double kMostSlower = 4;

double Nanoseconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(std::max<int64_t>(duration.count(), 1));
}

}  // namespace

void EncodePace::Learn(std::span<const MeasuredEncode> encodes) {
  *this = EncodePace();
  double n = 0;
  double x = 0;
  double y = 0;
  double xx = 0;
  double xy = 0;
  for (const MeasuredEncode& encode : encodes) {
    if (encode.patches <= 0) continue;
    const auto patches = static_cast<double>(encode.patches);
    const double time = Nanoseconds(encode.duration);
    n += 1;
    x += patches;
    y += time;
    xx += patches * patches;
    xy += patches * time;
    largest_ = std::max(largest_, patches);
  }
  if (n == 0) return;
  const double spread = n * xx - x * x;
  const double slope = spread > 0 ? (n * xy - x * y) / spread : xy / xx;
  const double fixed = (y - slope * x) / n;
  // Neither part is below 0, else some size would take less than no time.
  per_patch_ns_ = fixed >= 0 ? std::max(slope, 0.0) : xy / xx;
  fixed_ns_ = slope >= 0 ? std::max(fixed, 0.0) : y / n;
}

void EncodePace::Record(int64_t patches, std::chrono::nanoseconds duration) {
  if (patches <= 0) return;
  const auto size = static_cast<double>(patches);
  if (largest_ == 0) {
    per_patch_ns_ = Nanoseconds(duration) / size;
    largest_ = size;
    return;
  }
  largest_ = std::max(largest_, size);
  const double expected = EstimateNs(size);
  const double error = std::min(Nanoseconds(duration), kMostSlower * expected) - expected;
  // On the scale on which the largest encode is 1, both parts weigh alike there, and a small encode
  // speaks of the fixed part mostly.
  const double scaled = size / largest_;
  const double step = kStep * error / (1 + scaled * scaled);
  fixed_ns_ = std::max(0.0, fixed_ns_ + step);
  per_patch_ns_ = std::max(0.0, per_patch_ns_ + step * scaled / largest_);
}

std::chrono::nanoseconds EncodePace::Estimate(int64_t patches) const {
  if (patches <= 0) return std::chrono::nanoseconds(0);
  const double ns = EstimateNs(static_cast<double>(patches)) + 0.5;
  return std::chrono::nanoseconds(
      static_cast<int64_t>(std::min(ns, static_cast<double>(kLongest.count()))));
}

}  // namespace emotion::embedding

#include "bench/stack/timed_encoder.h"

#include <algorithm>
#include <thread>

namespace emotion::bench {
namespace {

std::vector<float> VectorOf(const vision::Patches& patches) {
  std::vector<float> vector(kTimedDim, 0.0F);
  const auto n = static_cast<float>(std::max<size_t>(patches.rows.size() / 64, 1));
  for (size_t i = 0; i < patches.rows.size(); i += 64) {
    vector[i / 64 % kTimedDim] += patches.rows[i] / n * kTimedDim;
  }
  return vector;
}

}  // namespace

TimedEncoder::TimedEncoder(const EncodeTime& time) : time_(time) {
  info_.name = "timed";
  info_.fingerprint.fill(0xbe);
  info_.dim = kTimedDim;
  info_.patch_values = 1176;
  info_.precision = vision::Precision::kFp32;
  info_.device = "cpu: sleeps";
  info_.demo = true;
  info_.licence = "none";
}

absl::StatusOr<std::vector<std::vector<float>>> TimedEncoder::Encode(
    std::span<const vision::Patches* const> images) {
  const auto until = std::chrono::steady_clock::now() + time_.per_batch +
                     time_.per_frame * static_cast<int64_t>(images.size());
  std::vector<std::vector<float>> vectors;
  for (const vision::Patches* image : images) vectors.push_back(VectorOf(*image));
  std::this_thread::sleep_until(until);
  return vectors;
}

}  // namespace emotion::bench

#include "bench/load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace emotion::bench {
namespace {

// A bucket is linear below 128 us, then 64 of them cover each doubling.
constexpr int kBits = 7;
constexpr uint64_t kPerDoubling = 64;

size_t BucketOf(uint64_t microseconds) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(microseconds)) - kBits);
  return static_cast<size_t>(static_cast<uint64_t>(shift) * kPerDoubling + (microseconds >> shift));
}

uint64_t UpperEdge(size_t bucket) {
  const uint64_t shift = bucket < 2 * kPerDoubling ? 0 : bucket / kPerDoubling - 1;
  return ((bucket - shift * kPerDoubling + 1) << shift) - 1;
}

}  // namespace

void LatencyHistogram::Add(std::chrono::nanoseconds value) {
  value = std::max(value, std::chrono::nanoseconds(0));
  const auto us = std::chrono::ceil<std::chrono::microseconds>(value).count();
  const size_t bucket = BucketOf(static_cast<uint64_t>(us));
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  max_ = std::max(max_, value);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds LatencyHistogram::Percentile(double share) const {
  if (count_ == 0) return std::chrono::nanoseconds(0);
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(wanted));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen < rank) continue;
    return std::min<std::chrono::nanoseconds>(std::chrono::microseconds(UpperEdge(bucket)), max_);
  }
  return max_;
}

}  // namespace emotion::bench

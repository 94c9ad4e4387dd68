// Durations, counted in buckets that are 1.6 % wide at most: percentiles of millions of them in a
// few KiB, and two histograms can be added up. From 1 us to hours; below 0 counts as 0.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace emotion::bench {

class LatencyHistogram {
 public:
  void Add(std::chrono::nanoseconds value);
  void Merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  // The largest, exactly; 0 when empty.
  std::chrono::nanoseconds max() const { return max_; }
  // The smallest value that `share` (0 to 1) of all are not above, rounded up by at most 1.6 %; 0
  // when empty. Nearest rank: of 100 values 0.99 is the 99th.
  std::chrono::nanoseconds Percentile(double share) const;

 private:
  std::vector<uint32_t> counts_;  // by bucket; as long as the largest value needs
  uint64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
};

// Milliseconds of `q`, as tables show them.
inline double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace emotion::bench

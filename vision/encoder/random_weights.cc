#include "vision/encoder/random_weights.h"

#include <cmath>

namespace emotion::vision {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

uint64_t SplitMix64(uint64_t x) {
  x += kGolden;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Exact: 24 bits fit a float's significand.
float Uniform(uint64_t x) { return static_cast<float>(SplitMix64(x) >> 40) * 0x1p-23F - 1.0F; }

struct Range {
  float centre;
  float scale;
};

Range RangeOf(std::string_view name, const Shape& shape) {
  if (name.ends_with(".bias")) return {0.0F, 0.02F};
  if (shape.size() == 1) return {1.0F, 0.1F};
  double fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) fan_in *= static_cast<double>(shape[i]);
  return {0.0F, static_cast<float>(std::sqrt(3.0 / fan_in))};
}

}  // namespace

void FillRandomWeights(std::string_view name, const Shape& shape, uint64_t seed, int64_t first,
                       std::span<float> values) {
  const Range range = RangeOf(name, shape);
  uint64_t x = Fnv1a(name) + seed * kGolden + static_cast<uint64_t>(first);
  for (float& value : values) {
    // Rounded after each step: a fused multiply-add would give other last bits on other machines.
    const float scaled = range.scale * Uniform(x++);
    value = range.centre + scaled;
  }
}

}  // namespace emotion::vision

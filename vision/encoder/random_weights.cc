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

double FanIn(const Shape& shape) {
  double fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) fan_in *= static_cast<double>(shape[i]);
  return fan_in;
}

Range RangeOf(std::string_view name, const Shape& shape) {
  if (name.ends_with(".bias")) return {0.0F, 0.02F};
  if (shape.size() == 1) return {1.0F, 0.1F};
  return {0.0F, static_cast<float>(std::sqrt(3.0 / FanIn(shape)))};
}

// Near a normal distribution of deviation 1: the sum of four numbers of 16 bits, uniform each.
double Bell(uint64_t x) {
  const uint64_t bits = SplitMix64(x);
  const double sum = static_cast<double>(bits & 0xffff) + static_cast<double>(bits >> 16 & 0xffff) +
                     static_cast<double>(bits >> 32 & 0xffff) + static_cast<double>(bits >> 48);
  return (sum / 65536 - 2) * std::sqrt(3.0);
}

bool OneIn(uint64_t count, uint64_t x) { return SplitMix64(~x) % count == 0; }

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

void FillOutlierWeights(std::string_view name, const Shape& shape, uint64_t seed, int64_t first,
                        std::span<float> values) {
  const uint64_t start = Fnv1a(name) + seed * kGolden;
  const auto at = static_cast<uint64_t>(first);
  if (shape.size() == 1) {
    const bool bias = name.ends_with(".bias");
    for (size_t i = 0; i < values.size(); ++i) {
      const uint64_t x = start + at + i;
      const double norm = 0.6 * std::exp(0.5 * Bell(x)) * (OneIn(100, x) ? 6 : 1);
      values[i] = static_cast<float>(bias ? 0.1 * Bell(x) : norm);
    }
    return;
  }
  const double fan_in = FanIn(shape);
  const auto width = static_cast<uint64_t>(fan_in);
  const bool adds = name.ends_with("proj.weight") && !name.ends_with("gate_proj.weight") &&
                    !name.ends_with("up_proj.weight");  // to the residual stream: half as much
  const bool outliers = !name.starts_with("patch_embed.");
  const double scale = (outliers && adds ? 0.5 : 1.0) / std::sqrt(fan_in);
  double row_scale = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t index = at + i;
    if (i == 0 || index % width == 0) {
      row_scale = scale * std::exp(0.4 * Bell(~start + index / width));
    }
    const uint64_t x = start + index;
    values[i] = static_cast<float>(row_scale * Bell(x) * (outliers && OneIn(512, x) ? 8 : 1));
  }
}

}  // namespace emotion::vision

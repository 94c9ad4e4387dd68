// Seeded randomness that gives the same numbers with every compiler and standard library.
//
// std::normal_distribution and its kin are free to differ between libraries; a demo model that can
// be made again from its seed cannot use them. The generator is xoshiro256++ seeded by splitmix64
// (Blackman and Vigna). A value type, not thread-safe: one per thread.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace emotion::training {

// One step of splitmix64; also a good way to derive one seed from another.
constexpr uint64_t SplitMix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class Random {
 public:
  // Every seed is good, 0 too.
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = SplitMix64(seed);
  }

  uint64_t Next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // In [low, high).
  double Uniform(double low = 0, double high = 1) {
    return low + (high - low) * static_cast<double>(Next() >> 11) * 0x1p-53;
  }

  // Normal, by Box and Muller; the second of each pair is thrown away to keep the state simple.
  double Normal(double mean = 0, double deviation = 1) {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return mean + deviation * radius * std::cos(2 * std::numbers::pi * Uniform());
  }

  // In 0 .. count - 1. REQUIRES: count > 0.
  int Below(int count) { return static_cast<int>(Uniform(0, count)); }

  // True with this probability: 0 never, 1 always.
  bool Chance(double probability) { return Uniform() < probability; }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace emotion::training

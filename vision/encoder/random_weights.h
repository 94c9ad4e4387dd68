// Reproducible random weights: the same numbers on every machine and in every language.
//
// Value i of a tensor is made from u = uniform in [-1, 1) with 24 bits, out of
// splitmix64(FNV-1a-64(name) + i + seed * 0x9e3779b97f4a7c15), name being the tensor's without
// prefix. Norm weights are 1 + 0.1 u, biases 0.02 u, matrices u sqrt(3 / fan_in), so that a tower
// of them keeps its activations near unit size. tests/parity makes the same in Python.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "vision/encoder/safetensors.h"

namespace emotion::vision {

// Fills `values` with the values from index `first` on, in the row-major order of `shape`. The
// tensor may be made in pieces and in any order.
void FillRandomWeights(std::string_view name, const Shape& shape, uint64_t seed, int64_t first,
                       std::span<float> values);

// The same with outliers, as trained towers have them and as they make a tower hard to compute in
// 8 bits: bell-shaped matrices whose rows differ in size by factors of exp(0.4 g), g bell-shaped,
// one weight in 512 being 8 times as large (not in patch_embed); norm weights of 0.6 exp(0.5 g),
// one in a hundred 6 times as large; biases of 0.1 g.
void FillOutlierWeights(std::string_view name, const Shape& shape, uint64_t seed, int64_t first,
                        std::span<float> values);

}  // namespace emotion::vision

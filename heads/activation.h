// The functions that may stand between the layers of a head.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace emotion::heads {

enum class Activation {
  kIdentity,
  kRelu,
  kGelu,      // exact, by erf
  kGeluTanh,  // its approximation, PyTorch's GELU(approximate="tanh")
  kSilu,
  kTanh,
  kSigmoid,
  kLeakyRelu,  // slope 0.01, PyTorch's default
  kElu,        // alpha 1
};

// "relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "leaky_relu", "elu", "identity".
std::string_view ActivationName(Activation activation);

// The inverse; case and '_' do not matter ("LeakyReLU"), and "swish", "none" and "linear" are taken
// too. nullopt for any other text.
std::optional<Activation> ParseActivation(std::string_view name);

// In place, as PyTorch computes them in float32.
void ApplyActivation(Activation activation, std::span<float> values);

}  // namespace emotion::heads

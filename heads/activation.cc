#include "heads/activation.h"

#include <array>
#include <cmath>
#include <numbers>
#include <string>

namespace emotion::heads {
namespace {

struct Name {
  std::string_view text;
  Activation activation;
};

// The first name of each is the one that we write.
constexpr std::array kNames = {
    Name{"identity", Activation::kIdentity}, Name{"relu", Activation::kRelu},
    Name{"gelu", Activation::kGelu},         Name{"gelu_tanh", Activation::kGeluTanh},
    Name{"silu", Activation::kSilu},         Name{"tanh", Activation::kTanh},
    Name{"sigmoid", Activation::kSigmoid},   Name{"leaky_relu", Activation::kLeakyRelu},
    Name{"elu", Activation::kElu},           Name{"swish", Activation::kSilu},
    Name{"none", Activation::kIdentity},     Name{"linear", Activation::kIdentity},
};

std::string Simplified(std::string_view name) {
  std::string simple;
  for (char c : name) {
    if (c == '_') continue;
    simple += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return simple;
}

template <typename Function>
void Apply(std::span<float> values, Function function) {
  for (float& value : values) value = function(value);
}

float Gelu(float x) {
  return 0.5F * x * (1.0F + std::erf(x * static_cast<float>(1.0 / std::numbers::sqrt2)));
}

float GeluTanh(float x) {
  constexpr auto kScale = static_cast<float>(std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
  return 0.5F * x * (1.0F + std::tanh(kScale * (x + 0.044715F * x * x * x)));
}

float Sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

}  // namespace

std::string_view ActivationName(Activation activation) {
  for (const Name& name : kNames) {
    if (name.activation == activation) return name.text;
  }
  return "";
}

std::optional<Activation> ParseActivation(std::string_view text) {
  const std::string simple = Simplified(text);
  for (const Name& name : kNames) {
    if (Simplified(name.text) == simple) return name.activation;
  }
  return std::nullopt;
}

void ApplyActivation(Activation activation, std::span<float> values) {
  switch (activation) {
    case Activation::kIdentity:
      return;
    case Activation::kRelu:
      return Apply(values, [](float x) { return x > 0 ? x : 0.0F; });
    case Activation::kGelu:
      return Apply(values, Gelu);
    case Activation::kGeluTanh:
      return Apply(values, GeluTanh);
    case Activation::kSilu:
      return Apply(values, [](float x) { return x * Sigmoid(x); });
    case Activation::kTanh:
      return Apply(values, [](float x) { return std::tanh(x); });
    case Activation::kSigmoid:
      return Apply(values, Sigmoid);
    case Activation::kLeakyRelu:
      return Apply(values, [](float x) { return x > 0 ? x : 0.01F * x; });
    case Activation::kElu:
      return Apply(values, [](float x) { return x > 0 ? x : std::expm1(x); });
  }
}

}  // namespace emotion::heads

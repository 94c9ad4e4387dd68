#include "heads/head_network.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "common/affect/affect.h"
#include "fmt/format.h"
#include "heads/pth/pickle_value.h"

namespace emotion::heads {
namespace {

absl::Status LayerError(const HeadLayer& layer, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("layer {} {}", pth::Quoted(layer.name), what));
}

absl::Status CheckValues(const HeadLayer& layer, std::string_view field,
                         const std::vector<float>& values, int64_t expected, bool optional) {
  if (optional && values.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(values.size()) != expected) {
    return LayerError(
        layer, fmt::format("has {} values of {}; expected {}", values.size(), field, expected));
  }
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    return LayerError(layer, fmt::format("has a {} that is NaN or infinite", field));
  }
  return absl::OkStatus();
}

// Walks the layers with what it knows so far: the width that the next one gets, and what stood
// last.
class Checker {
 public:
  absl::Status Visit(const HeadLayer& layer, const LinearLayer& linear) {
    if (linear.inputs < 1 || linear.inputs > kMaxInputDim || linear.outputs < 1 ||
        linear.outputs > kMaxInputDim) {
      return LayerError(layer, fmt::format("is {} to {}; both must be 1 to {}", linear.inputs,
                                           linear.outputs, kMaxInputDim));
    }
    if (width_ != 0 && linear.inputs != width_) {
      return LayerError(layer, fmt::format("takes {} values; the layer before it gives {}",
                                           linear.inputs, width_));
    }
    if (++linear_layers_ > kMaxLinearLayers) {
      return LayerError(layer,
                        fmt::format("is one Linear too many; the limit is {}", kMaxLinearLayers));
    }
    parameters_ += linear.inputs * linear.outputs;
    if (parameters_ > kMaxParameters) {
      return LayerError(layer, fmt::format("brings the head over {} parameters", kMaxParameters));
    }
    width_ = linear.outputs;
    after_norm_ = false;
    if (auto status =
            CheckValues(layer, "weight", linear.weight, linear.inputs * linear.outputs, false);
        !status.ok()) {
      return status;
    }
    return CheckValues(layer, "bias", linear.bias, linear.outputs, true);
  }

  absl::Status Visit(const HeadLayer& layer, const NormLayer& norm) {
    if (after_norm_) return LayerError(layer, "is a norm behind a norm; expected a Linear");
    if (norm.width < 1 || norm.width > kMaxInputDim || (width_ != 0 && norm.width != width_)) {
      return LayerError(layer, fmt::format("is a norm of width {}; the layer before it gives {}",
                                           norm.width, width_));
    }
    if (!(norm.epsilon >= 0 && norm.epsilon <= 1)) {
      return LayerError(layer, fmt::format("has epsilon {}; expected 0 to 1", norm.epsilon));
    }
    width_ = norm.width;
    after_norm_ = true;
    const int64_t running = norm.kind == NormKind::kBatchNorm ? norm.width : 0;
    absl::Status status = CheckValues(layer, "weight", norm.weight, norm.width, true);
    status.Update(CheckValues(layer, "bias", norm.bias, norm.width, true));
    status.Update(CheckValues(layer, "running_mean", norm.running_mean, running, false));
    status.Update(CheckValues(layer, "running_var", norm.running_var, running, false));
    if (std::any_of(norm.running_var.begin(), norm.running_var.end(),
                    [](float v) { return v < 0; })) {
      status.Update(LayerError(layer, "has a negative running_var"));
    }
    return status;
  }

  absl::Status Finish(const HeadLayer& last) const {
    if (linear_layers_ == 0 || after_norm_) {
      return LayerError(last, "ends the head with a norm; expected a Linear");
    }
    if (width_ != static_cast<int64_t>(kLevelCount)) {
      return LayerError(
          last, fmt::format("ends the head with {} classes; expected {}", width_, kLevelCount));
    }
    return absl::OkStatus();
  }

 private:
  int64_t width_ = 0;  // 0: not known yet
  bool after_norm_ = false;
  size_t linear_layers_ = 0;
  int64_t parameters_ = 0;
};

// "net.3" -> ("net", 3); nullopt where the last part is no number.
std::optional<std::pair<std::string_view, int>> SequentialIndex(std::string_view name) {
  const size_t dot = name.rfind('.');
  const std::string_view digits = dot == name.npos ? name : name.substr(dot + 1);
  int index = 0;
  const char* end = digits.data() + digits.size();
  const auto [parsed, error] = std::from_chars(digits.data(), end, index);
  if (digits.empty() || error != std::errc() || parsed != end) return std::nullopt;
  return std::pair(dot == name.npos ? std::string_view() : name.substr(0, dot), index);
}

}  // namespace

int64_t HeadNetwork::input_dim() const {
  for (const HeadLayer& layer : layers) {
    if (const auto* linear = std::get_if<LinearLayer>(&layer.layer)) return linear->inputs;
  }
  return 0;
}

absl::Status CheckNetwork(const HeadNetwork& network) {
  if (network.layers.empty()) return absl::InvalidArgumentError("has no layers");
  Checker checker;
  for (const HeadLayer& layer : network.layers) {
    absl::Status status =
        std::visit([&](const auto& kind) { return checker.Visit(layer, kind); }, layer.layer);
    if (!status.ok()) return status;
  }
  return checker.Finish(network.layers.back());
}

absl::Status CheckNames(const HeadNetwork& network) {
  std::unordered_set<std::string_view> names;
  for (const HeadLayer& layer : network.layers) {
    if (!names.insert(layer.name).second) return LayerError(layer, "is there twice");
  }
  for (size_t i = 1; i < network.layers.size(); ++i) {
    const HeadLayer& before = network.layers[i - 1];
    const HeadLayer& norm = network.layers[i];
    if (!std::holds_alternative<LinearLayer>(before.layer) ||
        !std::holds_alternative<NormLayer>(norm.layer)) {
      continue;
    }
    const auto first = SequentialIndex(before.name);
    const auto second = SequentialIndex(norm.name);
    if (first && second && first->first == second->first && second->second != first->second + 1) {
      return absl::InvalidArgumentError(fmt::format(
          "between layers {} and {} stands a layer without weights; say in heads.json whether the "
          "activation comes first: \"norm\": \"after_activation\" or \"before_activation\"",
          pth::Quoted(before.name), pth::Quoted(norm.name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace emotion::heads

#include "heads/mlp_head.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "fmt/format.h"
#include "heads/gemv.h"

namespace emotion::heads {
namespace {

double ValueOr(const std::vector<float>& values, size_t index, double absent) {
  return values.empty() ? absent : values[index];
}

// x -> scale x + shift, a BatchNorm at inference.
struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;

  static Affine Identity(size_t width) {
    return {std::vector<double>(width, 1.0), std::vector<double>(width, 0.0)};
  }

  static Affine Of(const NormLayer& norm) {
    Affine affine = Identity(static_cast<size_t>(norm.width));
    for (size_t i = 0; i < affine.scale.size(); ++i) {
      affine.scale[i] =
          ValueOr(norm.weight, i, 1.0) / std::sqrt(norm.running_var[i] + norm.epsilon);
      affine.shift[i] = ValueOr(norm.bias, i, 0.0) - norm.running_mean[i] * affine.scale[i];
    }
    return affine;
  }
};

void LayerNorm(std::span<const float> weight, std::span<const float> bias, double epsilon,
               std::span<float> values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (float value : values) squares += (value - mean) * (value - mean);
  const double scale = 1.0 / std::sqrt(squares / count + epsilon);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((values[i] - mean) * scale * weight[i] + bias[i]);
  }
}

std::vector<float> Filled(const std::vector<float>& values, int64_t width, float absent) {
  return values.empty() ? std::vector<float>(static_cast<size_t>(width), absent) : values;
}

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

// Turns layers into steps, one after the other.
class MlpHeadBuilder {
 public:
  explicit MlpHeadBuilder(const HeadNetwork& network) : network_(network) {}

  absl::StatusOr<MlpHead> Build() {
    head_.input_dim_ = static_cast<size_t>(network_.input_dim());
    head_.widest_ = head_.input_dim_;
    const bool norm_first = network_.norm_placement == NormPlacement::kBeforeActivation;
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      if (const NormLayer* norm = NormAt(i)) {
        AddNorm(*norm);
        continue;
      }
      const auto& linear = std::get<LinearLayer>(network_.layers[i].layer);
      const NormLayer* norm = norm_first ? NormAt(i + 1) : nullptr;
      const bool fold = norm != nullptr && norm->kind == NormKind::kBatchNorm;
      if (!AddLinear(linear, fold ? norm : nullptr)) {
        return absl::InvalidArgumentError(
            fmt::format("layer '{}' leaves the range of float32 when its norm is folded into it",
                        network_.layers[i].name));
      }
      if (norm != nullptr && !fold) AddNorm(*norm);
      if (norm != nullptr) ++i;
      if (i + 1 < network_.layers.size()) head_.steps_.emplace_back(network_.activation);
    }
    return std::move(head_);
  }

 private:
  const NormLayer* NormAt(size_t index) const {
    if (index >= network_.layers.size()) return nullptr;
    return std::get_if<NormLayer>(&network_.layers[index].layer);
  }

  void AddNorm(const NormLayer& norm) {
    if (norm.kind == NormKind::kBatchNorm) {
      pending_ = Affine::Of(norm);  // a Linear follows, always
      return;
    }
    head_.steps_.emplace_back(MlpHead::LayerNormStep{
        Filled(norm.weight, norm.width, 1.0F), Filled(norm.bias, norm.width, 0.0F), norm.epsilon});
  }

  // out_scale (weight (in_scale x + in_shift) + bias) + out_shift as one Linear.
  bool AddLinear(const LinearLayer& linear, const NormLayer* folded) {
    const auto inputs = static_cast<size_t>(linear.inputs);
    const auto outputs = static_cast<size_t>(linear.outputs);
    const Affine in = pending_.scale.empty() ? Affine::Identity(inputs) : std::move(pending_);
    const Affine out = folded == nullptr ? Affine::Identity(outputs) : Affine::Of(*folded);
    pending_ = {};
    MlpHead::LinearStep step{inputs, outputs, linear.weight, std::vector<float>(outputs)};
    for (size_t row = 0; row < outputs; ++row) {
      double bias = ValueOr(linear.bias, row, 0.0);
      for (size_t i = 0; i < inputs; ++i) {
        float& weight = step.weight[row * inputs + i];
        bias += weight * in.shift[i];
        weight = static_cast<float>(weight * in.scale[i] * out.scale[row]);
      }
      step.bias[row] = static_cast<float>(bias * out.scale[row] + out.shift[row]);
    }
    const bool finite = AllFinite(step.weight) && AllFinite(step.bias);
    head_.widest_ = std::max(head_.widest_, outputs);
    head_.steps_.emplace_back(std::move(step));
    return finite;
  }

  const HeadNetwork& network_;
  MlpHead head_;
  Affine pending_;  // of a BatchNorm that waits for its Linear
};

absl::StatusOr<MlpHead> MlpHead::Create(const HeadNetwork& network) {
  if (absl::Status status = CheckNetwork(network); !status.ok()) return status;
  return MlpHeadBuilder(network).Build();
}

size_t MlpHead::multiply_adds() const {
  size_t sum = 0;
  for (const Step& step : steps_) {
    if (const auto* linear = std::get_if<LinearStep>(&step)) sum += linear->weight.size();
  }
  return sum;
}

std::array<float, kLevelCount> MlpHead::Forward(std::span<const float> embedding) const {
  std::vector<float> scratch(2 * widest_);
  std::span<float> current(scratch.data(), embedding.size());
  std::span<float> other(scratch.data() + widest_, widest_);
  std::copy(embedding.begin(), embedding.end(), current.begin());
  for (const Step& step : steps_) {
    if (const auto* linear = std::get_if<LinearStep>(&step)) {
      Gemv(linear->weight.data(), linear->bias.data(), current.data(), other.data(),
           linear->outputs, linear->inputs);
      std::swap(current, other);
      current = std::span(current.data(), linear->outputs);
      other = std::span(other.data(), widest_);
    } else if (const auto* norm = std::get_if<LayerNormStep>(&step)) {
      LayerNorm(norm->weight, norm->bias, norm->epsilon, current);
    } else {
      ApplyActivation(std::get<Activation>(step), current);
    }
  }
  std::array<float, kLevelCount> logits;
  std::copy_n(current.begin(), kLevelCount, logits.begin());
  return logits;
}

}  // namespace emotion::heads

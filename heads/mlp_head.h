// A head, compiled for speed: embedding in, four logits out.
//
// BatchNorm disappears into the Linear beside it when the head is made (in double, rounded once);
// LayerNorm runs as it is. Immutable, so safe from any number of threads; equal inputs give equal
// bits on all of them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/affect/affect.h"
#include "heads/head_network.h"

namespace emotion::heads {

class MlpHead {
 public:
  // INVALID_ARGUMENT where CheckNetwork refuses, or a folded weight leaves float32.
  static absl::StatusOr<MlpHead> Create(const HeadNetwork& network);

  size_t input_dim() const { return input_dim_; }

  // What Forward costs: about 0.06 ms a million (AVX2), 0.2 where the weights exceed the caches.
  size_t multiply_adds() const;

  // REQUIRES: embedding.size() == input_dim(). Finite input may give infinite logits only where the
  // network itself does. Allocates room for two hidden layers, nothing else.
  std::array<float, kLevelCount> Forward(std::span<const float> embedding) const;

 private:
  struct LinearStep {
    size_t inputs;
    size_t outputs;
    std::vector<float> weight;  // [outputs, inputs]
    std::vector<float> bias;    // [outputs]
  };
  struct LayerNormStep {
    std::vector<float> weight;  // [width]
    std::vector<float> bias;    // [width]
    double epsilon;
  };
  using Step = std::variant<LinearStep, LayerNormStep, Activation>;
  friend class MlpHeadBuilder;

  size_t input_dim_ = 0;
  size_t widest_ = 0;  // of all steps
  std::vector<Step> steps_;
};

}  // namespace emotion::heads

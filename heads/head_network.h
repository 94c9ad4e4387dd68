// The layers of a head, as a checkpoint lists them.
//
//   [norm]  Linear [norm] activation  Linear [norm] activation ... Linear
//
// Plain data: read from a state dict (state_dict_layers.h), made by training, written back by
// SaveHeadCheckpoint, compiled for speed by MlpHead. Dropout does nothing at inference and is not
// listed.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "heads/activation.h"

namespace emotion::heads {

inline constexpr int64_t kMaxInputDim = 65536;  // of any layer
inline constexpr size_t kMaxLinearLayers = 16;
inline constexpr int64_t kMaxParameters = 64LL << 20;

// y = weight x + bias
struct LinearLayer {
  int64_t inputs = 0;
  int64_t outputs = 0;
  std::vector<float> weight = {};  // [outputs, inputs] row-major
  std::vector<float> bias = {};    // [outputs], or none: 0
};

enum class NormKind { kBatchNorm, kLayerNorm };

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias; LayerNorm takes mean and variance from
// x itself, BatchNorm those of training.
struct NormLayer {
  NormKind kind = NormKind::kBatchNorm;
  int64_t width = 0;
  std::vector<float> weight = {};        // [width], or none: 1
  std::vector<float> bias = {};          // [width], or none: 0
  std::vector<float> running_mean = {};  // [width] for BatchNorm, none for LayerNorm
  std::vector<float> running_var = {};   // [width] for BatchNorm, none for LayerNorm
  double epsilon = 1e-5;
};

struct HeadLayer {
  std::string name;  // the keys' common part, such as "net.0"; for messages and for writing
  std::variant<LinearLayer, NormLayer> layer;
};

enum class NormPlacement { kBeforeActivation, kAfterActivation };

struct HeadNetwork {
  std::vector<HeadLayer> layers;
  Activation activation = Activation::kRelu;  // behind each Linear but the last
  NormPlacement norm_placement = NormPlacement::kBeforeActivation;

  // The first Linear's inputs. REQUIRES: CheckNetwork is OK.
  int64_t input_dim() const;
};

// INVALID_ARGUMENT, naming the layer, what was found and what was expected, unless the layers have
// the form above, fit each other, end with kLevelCount outputs, respect the limits above, and hold
// finite numbers only (variances not negative).
absl::Status CheckNetwork(const HeadNetwork& network);

// INVALID_ARGUMENT where the names leave open how the layers follow each other: one name twice, or
// numbers of a Sequential ("net.0", "net.2") with a gap between a Linear and its norm. An
// activation may stand there, and guessing would give wrong answers without a sign.
absl::Status CheckNames(const HeadNetwork& network);

}  // namespace emotion::heads

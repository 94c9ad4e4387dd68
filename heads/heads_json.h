// `heads.json`: what the user of somebody else's checkpoints says about them.
//
// Lies beside the mlp_<State>_best.pth files; optional. Where a checkpoint cannot say how its
// layers are used, or says it wrong, this file decides:
//
//   {
//     "common":  {"activation": "gelu", "layer_norm_eps": 1e-6, "input_size": [112, 112]},
//     "Boredom": {"norm": "after_activation", "batch_norm_eps": 0.001,
//                 "layers": ["fc1", "bn1", "fc2", "bn2", "out"]}
//   }
//
// "common" holds for all four states, a state's own members win. All members are optional:
//   activation      a name of ParseActivation (activation.h)
//   norm            "before_activation" or "after_activation"
//   batch_norm_eps, layer_norm_eps   0 to 1
//   layers          names in the order of the forward pass, for state dicts in another order
//   input_size      pixels: N or [width, height], each 28 to 2048
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/affect/affect.h"
#include "heads/state_dict_layers.h"

namespace emotion::heads {

inline constexpr int kMinInputSize = 28;  // pixels, a side
inline constexpr int kMaxInputSize = 2048;

struct InputSize {
  int width = 112;
  int height = 112;

  bool operator==(const InputSize&) const = default;
};

struct HeadOverrides {
  LayoutOptions layout;
  std::optional<InputSize> input_size;
};

using HeadOverridesByState = std::array<HeadOverrides, kStateCount>;  // in the order of kStates

// INVALID_ARGUMENT naming the member, what it is and what was expected; unknown members included.
absl::StatusOr<HeadOverridesByState> ParseHeadsJson(const std::string& text);

// No overrides where `directory` has no heads.json; it may have 64 KiB.
absl::StatusOr<HeadOverridesByState> LoadHeadsJson(const std::filesystem::path& directory);

}  // namespace emotion::heads

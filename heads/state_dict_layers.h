// The layers of a head from the names and shapes of its state dict.
//
// A state dict tells the order in which modules were registered, their names and their tensors, and
// nothing else. Keys with a common part ("net.0.weight", "net.0.bias") are one layer: a weight of
// rank 2 is a Linear, rank 1 with running_mean a BatchNorm1d, rank 1 with a bias a LayerNorm. What
// could mean two things is an error that names the key and the line of heads.json that decides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "heads/head_network.h"
#include "heads/pth/pth_file.h"

namespace emotion::heads {

// What a state dict cannot tell. Absent fields: PyTorch's defaults and the order of the state dict.
struct LayoutOptions {
  std::optional<Activation> activation;
  std::optional<NormPlacement> norm_placement;
  std::optional<double> batch_norm_epsilon;
  std::optional<double> layer_norm_epsilon;
  std::vector<std::string> layers;  // names in the order of the forward pass; empty: as listed
};

// INVALID_ARGUMENT naming the key or layer; the result passes CheckNetwork.
absl::StatusOr<HeadNetwork> ReadNetwork(pth::PthFile& file, const pth::Node& state_dict,
                                        const LayoutOptions& options);

}  // namespace emotion::heads

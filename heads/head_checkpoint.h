// One head as a file: mlp_<State>_best.pth.
//
// A dict with `model_state_dict`, or the bare state dict. Beside it, all optional:
//   val_f1                float, numpy scalar or tensor of one element
//   input_dim, hidden_dims, num_classes   compared with the layers
//   activation            a name of ParseActivation; absent: relu
//   input_size            pixels: N or [width, height]; absent: 112
//   calibration           {method, temperature, bias [4], prior}
//   encoder_fingerprint   64 hexadecimal digits
//   pooling               "mean", the only one there is
//   preprocessing_version text or number
//   crop, metrics         dicts of anything plain
//   level_names           4 texts, "very low" first
//   demo, licence         bool, text
// Other entries (optimizer state, history) are skipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "heads/calibration.h"
#include "heads/fingerprint.h"
#include "heads/head_network.h"
#include "heads/heads_json.h"

namespace emotion::heads {

struct HeadCheckpoint {
  HeadNetwork network;
  std::optional<double> val_f1;  // absent or not finite: none
  InputSize input_size;
  Calibration calibration;
  std::optional<Fingerprint> encoder_fingerprint;
  std::string preprocessing_version;
  std::string crop;     // JSON; empty: none
  std::string metrics;  // JSON; empty: none
  bool demo = false;
  std::string licence;
};

// Errors start with the file's name: NOT_FOUND for a missing file, INVALID_ARGUMENT for everything
// else, with what was found and what was expected.
absl::StatusOr<HeadCheckpoint> LoadHeadCheckpoint(const std::filesystem::path& path,
                                                  const HeadOverrides& overrides = {});

// The same of a file's bytes; messages without a file name.
absl::StatusOr<HeadCheckpoint> ParseHeadCheckpoint(std::vector<uint8_t> bytes,
                                                   const HeadOverrides& overrides = {});

// Writes what LoadHeadCheckpoint and torch.load(weights_only=True) read, in place of `path` as a
// whole. What only heads.json can say (norms behind activations, other epsilons) cannot be written:
// INVALID_ARGUMENT, as for a network that CheckNetwork or CheckNames refuses.
absl::Status SaveHeadCheckpoint(const std::filesystem::path& path,
                                const HeadCheckpoint& checkpoint);

}  // namespace emotion::heads

// The four heads together: one embedding in, four predictions out.
//
// Immutable after Load, so safe from any number of threads. Knows nothing of RPC or LibTorch.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/affect/affect.h"
#include "heads/fingerprint.h"

namespace emotion::heads {

struct HeadPrediction {
  int level = 0;         // 0 to 3: the most probable, decided before any rounding
  float confidence = 0;  // its probability
  std::array<float, kLevelCount> probabilities{};  // sum 1
  float expected_level = 0;                        // sum of probability x level
};

using HeadPredictions = std::array<HeadPrediction, kStateCount>;  // in the order of kStates

// What a checkpoint says about itself.
struct HeadInfo {
  State state = State::kBoredom;
  std::string file;  // name without folder, such as "mlp_Boredom_best.pth"
  std::optional<double> val_f1;
  int input_dim = 0;
  int input_width = 112;  // pixels that images are resized to
  int input_height = 112;
  std::optional<Fingerprint> encoder_fingerprint;  // absent: not stated by the checkpoint
  std::string calibration_method;                  // empty: none
  std::optional<float> temperature;
  std::vector<float> calibration_bias;  // kLevelCount values or none
  std::string calibration_prior;
  std::string crop;  // JSON text of the checkpoint's crop entry
  bool demo = false;
  std::string licence;
};

class HeadBank {
 public:
  // Reads mlp_<State>_best.pth of all four states from `directory` (and `heads.json` where it
  // exists). Errors name the file, what was found and what was expected: NOT_FOUND for a missing
  // file, INVALID_ARGUMENT for a file that is damaged, of a foreign layout, or that disagrees with
  // its three siblings in input_dim, input size or fingerprint.
  static absl::StatusOr<std::unique_ptr<HeadBank>> Load(const std::filesystem::path& directory);

  ~HeadBank();
  HeadBank(const HeadBank&) = delete;
  HeadBank& operator=(const HeadBank&) = delete;

  int input_dim() const;
  // SHA-256 over the weights, layouts and calibration of the four heads.
  const Fingerprint& digest() const;
  const std::array<HeadInfo, kStateCount>& infos() const;  // in the order of kStates
  bool demo() const;                                       // any head says so

  size_t multiply_adds() const;  // of one Classify

  // REQUIRES: embedding.size() == input_dim(), values finite.
  HeadPredictions Classify(std::span<const float> embedding) const;

 private:
  struct Impl;
  explicit HeadBank(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::heads

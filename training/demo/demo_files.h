// The demo model as files, in the layout of any other model:
//
//   encoder/     config.json (says "demo": true), preprocessor_config.json, model.safetensors
//   (bf16),
//                selftest.json and selftest.jpg (a drawn face and the vector that belongs to it)
//   classifiers/ mlp_<State>_best.pth, four of them
//   evaluation.json
//
// Include only where LibTorch is at home.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "training/demo/demo_check.h"
#include "training/demo/demo_network.h"
#include "training/demo/trainer.h"

namespace emotion::training {

inline constexpr char kDemoName[] = "demo-faces-v1";
inline constexpr char kDemoLicence[] = "Apache-2.0";

// Rounds the tower to what the files hold, so that everything measured afterwards is true of them.
void RoundTowerToBf16(DemoNetwork& network);

// Writes the encoder's folder. Call after RoundTowerToBf16.
absl::Status WriteEncoder(const DemoNetwork& network, const std::filesystem::path& models);

// What the validation faces said about one head.
struct HeadFit {
  double val_f1 = 0;
  float temperature = 1;
};

// Measures the heads on `faces` faces of the validation split.
std::array<HeadFit, kStateCount> FitHeads(const DemoNetwork& network, uint64_t seed, size_t faces);

// Writes the four checkpoints, bound to the encoder that lies in `models`.
absl::Status WriteHeads(const DemoNetwork& network, const std::array<HeadFit, kStateCount>& fits,
                        const std::filesystem::path& models);

// Encodes one more drawn face with the encoder that lies in `models`, in fp32, and stores both.
absl::Status WriteSelfTest(uint64_t seed, const std::filesystem::path& models);

absl::Status WriteEvaluation(const DemoEvaluation& evaluation, const TrainOptions& training,
                             const std::filesystem::path& models);

}  // namespace emotion::training

// The demo's network: the encoder's own tower, four heads, and a teacher's aid.
//
// The tower is vision/encoder/torch's: what is trained here is what is served. The aid is one
// linear layer that reads the drawn face's parameters off the embedding; its error is part of the
// loss, since "where do the eyes look" teaches a small network more per face than four levels do.
// It is thrown away afterwards. Include only where LibTorch is at home.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "common/affect/affect.h"
#include "training/demo/face_batch.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::training {

inline constexpr int kHeadWidth = 64;

struct HeadWeights {  // Linear, ReLU, Linear
  vision::LinearWeights hidden;
  vision::LinearWeights out;
};

struct DemoNetwork {
  vision::VisionConfig config;
  vision::TowerWeights tower;
  std::array<HeadWeights, kStateCount> heads;  // in the order of kStates
  vision::LinearWeights aid;                   // [kCueCount, out_hidden_size]
};

// The demo's sizes: a 112 x 112 face is 64 patches and 16 output tokens.
vision::VisionConfig DemoConfig();

// Random weights that require gradients; the same for the same seed.
DemoNetwork MakeDemoNetwork(const vision::VisionConfig& config, uint64_t seed);

// The tower's tensors under their names in a checkpoint, sorted as vision::TowerTensors sorts them.
std::vector<std::pair<std::string, at::Tensor>> NamedTowerTensors(const DemoNetwork& network);

// Every tensor that training changes.
std::vector<at::Tensor> Parameters(const DemoNetwork& network);

struct DemoOutput {
  std::array<at::Tensor, kStateCount> logits;  // [faces, kLevelCount] each
  at::Tensor cues;                             // [faces, kCueCount]
};

// REQUIRES: a batch of at least one face, drawn for config's patch size.
DemoOutput Forward(const DemoNetwork& network, const FaceBatch& batch);

// Cross entropy of the four heads + `aid_weight` x squared error of the aid; a scalar.
at::Tensor Loss(const DemoOutput& output, const FaceBatch& batch, double aid_weight);

// Logits without gradients, in slices that fit the caches: [state][face * kLevelCount + level].
std::array<std::vector<float>, kStateCount> PredictLogits(const DemoNetwork& network,
                                                          const FaceBatch& batch);

}  // namespace emotion::training

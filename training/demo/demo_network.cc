#include "training/demo/demo_network.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "training/demo/random.h"
#include "vision/encoder/torch/linear.h"

namespace emotion::training {
namespace {

constexpr int64_t kPatchesPerFace = 64;

at::Tensor Normal(Random& random, int64_t rows, int64_t columns, double deviation) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (float& value : values) value = static_cast<float>(random.Normal(0, deviation));
  return at::tensor(values).reshape({rows, columns}).set_requires_grad(true);
}

at::Tensor Ones(int64_t size) { return at::ones({size}).set_requires_grad(true); }

// `gain` 1 keeps the size of what passes through; less makes the layer whisper at first.
vision::LinearWeights MakeLinear(Random& random, int64_t in, int64_t out, double gain = 1) {
  return {.weight = Normal(random, out, in, gain / std::sqrt(static_cast<double>(in))),
          .bias = at::zeros({out}).set_requires_grad(true)};
}

vision::BlockWeights MakeBlock(Random& random, const vision::VisionConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t wide = config.intermediate_size;
  // Layers that end in the residual stream start small, so that a deep stack starts as a shallow.
  const double whisper = 1 / std::sqrt(2.0 * config.depth);
  return {.norm1 = Ones(hidden),
          .norm2 = Ones(hidden),
          .qkv = MakeLinear(random, hidden, 3 * hidden),
          .proj = MakeLinear(random, hidden, hidden, whisper),
          .gate = MakeLinear(random, hidden, wide),
          .up = MakeLinear(random, hidden, wide),
          .down = MakeLinear(random, wide, hidden, whisper)};
}

at::Tensor RowsTensor(const FaceBatch& batch) {
  const int64_t patches = static_cast<int64_t>(batch.faces) * kPatchesPerFace;
  // from_blob wants a pointer to non-const; nothing writes through it.
  return at::from_blob(const_cast<float*>(batch.rows.data()),
                       {patches, static_cast<int64_t>(batch.rows.size()) / patches});
}

at::Tensor LevelsTensor(const FaceBatch& batch, size_t state) {
  std::vector<int64_t> levels;
  for (const Levels& face : batch.levels) levels.push_back(face[state]);
  return at::tensor(levels);
}

at::Tensor CuesTensor(const FaceBatch& batch) {
  return at::from_blob(const_cast<float*>(batch.cues.data()->data()),
                       {static_cast<int64_t>(batch.faces), static_cast<int64_t>(kCueCount)});
}

FaceBatch Slice(const FaceBatch& batch, size_t first, size_t count) {
  const size_t row = batch.rows.size() / batch.faces;
  const auto cut = [&](const auto& values, size_t width) {
    return std::vector(values.begin() + static_cast<ptrdiff_t>(first * width),
                       values.begin() + static_cast<ptrdiff_t>((first + count) * width));
  };
  return {count, cut(batch.rows, row), cut(batch.levels, 1), cut(batch.cues, 1)};
}

}  // namespace

vision::VisionConfig DemoConfig() {
  return {.depth = 4,
          .hidden_size = 96,
          .intermediate_size = 192,
          .num_heads = 3,
          .out_hidden_size = 96,
          .fullatt_block_indexes = {1, 3}};
}

DemoNetwork MakeDemoNetwork(const vision::VisionConfig& config, uint64_t seed) {
  Random random(seed);
  const int64_t hidden = config.hidden_size;
  const int64_t merged = hidden * config.merge_unit();
  const int64_t dim = config.out_hidden_size;
  DemoNetwork network;
  network.config = config;
  network.tower.patch_embed = Normal(random, hidden, config.patch_values(),
                                     1 / std::sqrt(static_cast<double>(config.patch_values())));
  for (int block = 0; block < config.depth; ++block) {
    network.tower.blocks.push_back(MakeBlock(random, config));
  }
  network.tower.merger_norm = Ones(hidden);
  network.tower.merger_in = MakeLinear(random, merged, merged);
  network.tower.merger_out = MakeLinear(random, merged, dim);
  for (HeadWeights& head : network.heads) {
    head = {MakeLinear(random, dim, kHeadWidth), MakeLinear(random, kHeadWidth, kLevelCount)};
  }
  network.aid = MakeLinear(random, dim, kCueCount);
  return network;
}

std::vector<std::pair<std::string, at::Tensor>> NamedTowerTensors(const DemoNetwork& network) {
  std::vector<std::pair<std::string, at::Tensor>> named;
  const auto add = [&](const std::string& name, const vision::LinearWeights& linear) {
    named.emplace_back(name + ".weight", linear.weight);
    named.emplace_back(name + ".bias", linear.bias);
  };
  named.emplace_back("patch_embed.proj.weight", network.tower.patch_embed);
  for (size_t i = 0; i < network.tower.blocks.size(); ++i) {
    const vision::BlockWeights& block = network.tower.blocks[i];
    const std::string prefix = "blocks." + std::to_string(i) + ".";
    named.emplace_back(prefix + "norm1.weight", block.norm1);
    named.emplace_back(prefix + "norm2.weight", block.norm2);
    add(prefix + "attn.qkv", block.qkv);
    add(prefix + "attn.proj", block.proj);
    add(prefix + "mlp.gate_proj", block.gate);
    add(prefix + "mlp.up_proj", block.up);
    add(prefix + "mlp.down_proj", block.down);
  }
  named.emplace_back("merger.ln_q.weight", network.tower.merger_norm);
  add("merger.mlp.0", network.tower.merger_in);
  add("merger.mlp.2", network.tower.merger_out);
  std::sort(named.begin(), named.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return named;
}

std::vector<at::Tensor> Parameters(const DemoNetwork& network) {
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : NamedTowerTensors(network)) parameters.push_back(tensor);
  const auto add = [&](const vision::LinearWeights& linear) {
    parameters.push_back(linear.weight);
    parameters.push_back(linear.bias);
  };
  for (const HeadWeights& head : network.heads) {
    add(head.hidden);
    add(head.out);
  }
  add(network.aid);
  return parameters;
}

DemoOutput Forward(const DemoNetwork& network, const FaceBatch& batch) {
  const std::vector<vision::Grid> grids(batch.faces, vision::Grid{.t = 1, .h = 8, .w = 8});
  const auto plan = vision::PlanBatch(network.config, grids, at::kCPU).value();
  const auto tokens = vision::ForwardTower(network.config, network.tower, plan, RowsTensor(batch));
  const auto embedding = vision::PoolTokens(plan, tokens);
  DemoOutput output;
  for (size_t state = 0; state < kStateCount; ++state) {
    const HeadWeights& head = network.heads[state];
    const auto hidden = at::relu(vision::Linear(embedding, head.hidden.weight, head.hidden.bias));
    output.logits[state] = vision::Linear(hidden, head.out.weight, head.out.bias);
  }
  output.cues = vision::Linear(embedding, network.aid.weight, network.aid.bias);
  return output;
}

at::Tensor Loss(const DemoOutput& output, const FaceBatch& batch, double aid_weight) {
  at::Tensor loss = aid_weight * at::mse_loss(output.cues, CuesTensor(batch));
  for (size_t state = 0; state < kStateCount; ++state) {
    loss = loss + at::cross_entropy_loss(output.logits[state], LevelsTensor(batch, state));
  }
  return loss;
}

std::array<std::vector<float>, kStateCount> PredictLogits(const DemoNetwork& network,
                                                          const FaceBatch& batch) {
  constexpr size_t kSlice = 64;
  const c10::InferenceMode guard;
  std::array<std::vector<float>, kStateCount> logits;
  for (size_t first = 0; first < batch.faces; first += kSlice) {
    const FaceBatch slice = Slice(batch, first, std::min(kSlice, batch.faces - first));
    const DemoOutput output = Forward(network, slice);
    for (size_t state = 0; state < kStateCount; ++state) {
      const at::Tensor values = output.logits[state].contiguous();
      const float* data = values.data_ptr<float>();
      logits[state].insert(logits[state].end(), data, data + values.numel());
    }
  }
  return logits;
}

}  // namespace emotion::training

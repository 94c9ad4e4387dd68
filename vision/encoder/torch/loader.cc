#include <cstring>
#include <string>

#include <ATen/ops/empty.h>

#include "fmt/format.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::vision {
namespace {

at::ScalarType StoredType(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    default:
      return at::kFloat;  // Checkpoint lets nothing else through
  }
}

// Copied before it is converted: the mapped bytes may be unaligned, and go when the file does.
at::Tensor CopyTensor(const Checkpoint& checkpoint, const std::string& name,
                      const TensorObserver& observe) {
  const TensorView& view = checkpoint.tensor(name);
  if (observe) observe(name, view);
  at::Tensor stored = at::empty(view.shape, at::dtype(StoredType(view.dtype)));
  std::memcpy(stored.data_ptr(), view.bytes.data(), view.bytes.size());
  checkpoint.Release(name);
  return stored;
}

}  // namespace

TowerWeights AssembleTower(const VisionConfig& config, const TensorSource& source) {
  const auto linear = [&](const std::string& name) {
    return LinearWeights{source(name + ".weight"), source(name + ".bias")};
  };
  TowerWeights tower;
  tower.patch_embed =
      source("patch_embed.proj.weight").reshape({config.hidden_size, config.patch_values()});
  for (int i = 0; i < config.depth; ++i) {
    const std::string at = fmt::format("blocks.{}.", i);
    tower.blocks.push_back({.norm1 = source(at + "norm1.weight"),
                            .norm2 = source(at + "norm2.weight"),
                            .qkv = linear(at + "attn.qkv"),
                            .proj = linear(at + "attn.proj"),
                            .gate = linear(at + "mlp.gate_proj"),
                            .up = linear(at + "mlp.up_proj"),
                            .down = linear(at + "mlp.down_proj")});
  }
  tower.merger_norm = source("merger.ln_q.weight");
  tower.merger_in = linear("merger.mlp.0");
  tower.merger_out = linear("merger.mlp.2");
  return tower;
}

TowerWeights LoadTower(const VisionConfig& config, const Checkpoint& checkpoint,
                       at::ScalarType dtype, at::Device device, const TensorObserver& observe) {
  return AssembleTower(config, [&](const std::string& name) {
    // Sent as it is stored, which is often half as much, and converted over there.
    return CopyTensor(checkpoint, name, observe).to(device).to(dtype);
  });
}

}  // namespace emotion::vision

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

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, at::ScalarType dtype, at::Device device)
      : checkpoint_(checkpoint), options_(at::dtype(dtype).device(device)) {}

  // Copied before it is converted: the mapped bytes may be unaligned, and go when the file does.
  at::Tensor Get(const std::string& name) const {
    const TensorView& view = checkpoint_.tensor(name);
    at::Tensor stored = at::empty(view.shape, at::dtype(StoredType(view.dtype)));
    std::memcpy(stored.data_ptr(), view.bytes.data(), view.bytes.size());
    checkpoint_.Release(name);
    return stored.to(options_);
  }

  LinearWeights GetLinear(const std::string& name) const {
    return {Get(name + ".weight"), Get(name + ".bias")};
  }

 private:
  const Checkpoint& checkpoint_;
  at::TensorOptions options_;
};

}  // namespace

TowerWeights LoadTower(const VisionConfig& config, const Checkpoint& checkpoint,
                       at::ScalarType dtype, at::Device device) {
  const Loader load(checkpoint, dtype, device);
  TowerWeights tower;
  tower.patch_embed =
      load.Get("patch_embed.proj.weight").reshape({config.hidden_size, config.patch_values()});
  for (int i = 0; i < config.depth; ++i) {
    const std::string at = fmt::format("blocks.{}.", i);
    tower.blocks.push_back({.norm1 = load.Get(at + "norm1.weight"),
                            .norm2 = load.Get(at + "norm2.weight"),
                            .qkv = load.GetLinear(at + "attn.qkv"),
                            .proj = load.GetLinear(at + "attn.proj"),
                            .gate = load.GetLinear(at + "mlp.gate_proj"),
                            .up = load.GetLinear(at + "mlp.up_proj"),
                            .down = load.GetLinear(at + "mlp.down_proj")});
  }
  tower.merger_norm = load.Get("merger.ln_q.weight");
  tower.merger_in = load.GetLinear("merger.mlp.0");
  tower.merger_out = load.GetLinear("merger.mlp.2");
  return tower;
}

}  // namespace emotion::vision

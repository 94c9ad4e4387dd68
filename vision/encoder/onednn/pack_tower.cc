#include <cstring>
#include <string>

#include "common/numeric/half.h"
#include "fmt/format.h"
#include "vision/encoder/onednn/tower.h"

namespace emotion::vision {
namespace {

// Reads tensors as fp32 and packs them, and keeps count for the progress.
class Packer {
 public:
  Packer(const Checkpoint& checkpoint, Element element, const std::function<void(double)>& progress)
      : checkpoint_(checkpoint), element_(element), progress_(progress) {
    for (const auto& [name, view] : checkpoint.tensors()) total_ += view.bytes.size();
  }

  std::vector<float> Vector(const std::string& name) {
    std::vector<float> values;
    Read(name, &values);
    return values;
  }

  // Weight and bias of `name`; the first failure is kept in `status`.
  PackedLinear Linear(const std::string& name, LinearSpec spec, bool bias = true) {
    spec.element = element_;
    Read(name + ".weight", &weight_);
    const std::vector<float> bias_values = bias ? Vector(name + ".bias") : std::vector<float>();
    if (!status_.ok()) return {};
    auto packed = PackedLinear::Pack(spec, weight_.data(), bias ? bias_values.data() : nullptr);
    if (!packed.ok()) {
      status_ = packed.status();
      return {};
    }
    return *std::move(packed);
  }

  const absl::Status& status() const { return status_; }

 private:
  void Read(const std::string& name, std::vector<float>* out) {
    const TensorView& view = checkpoint_.tensor(name);
    const size_t bytes = view.bytes.size();
    out->resize(bytes / static_cast<size_t>(DTypeBytes(view.dtype)));
    const std::byte* from = view.bytes.data();
    if (view.dtype == DType::kF32) {
      std::memcpy(out->data(), from, bytes);
    } else {
      const bool half = view.dtype == DType::kF16;
      for (size_t i = 0; i < out->size(); ++i) {
        uint16_t stored = 0;
        std::memcpy(&stored, from + 2 * i, 2);  // the mapped bytes may be unaligned
        (*out)[i] = half ? HalfToFloat(stored) : Bf16ToFloat(stored);
      }
    }
    checkpoint_.Release(name);
    done_ += bytes;
    if (progress_) progress_(static_cast<double>(done_) / static_cast<double>(total_));
  }

  static float Bf16ToFloat(uint16_t stored) {
    const uint32_t bits = uint32_t{stored} << 16;
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  const Checkpoint& checkpoint_;
  const Element element_;
  const std::function<void(double)>& progress_;
  std::vector<float> weight_;  // of the tensor at hand
  size_t done_ = 0;
  size_t total_ = 0;
  absl::Status status_;
};

PackedBlock PackBlock(const VisionConfig& config, Packer& packer, Element element, int index) {
  const int64_t hidden = config.hidden_size;
  const int64_t wide = config.intermediate_size;
  const std::string at = fmt::format("blocks.{}.", index);
  PackedBlock block;
  block.norm1 = packer.Vector(at + "norm1.weight");
  block.norm2 = packer.Vector(at + "norm2.weight");
  block.qkv = packer.Linear(at + "attn.qkv", {.in = hidden, .out = 3 * hidden, .result = element});
  block.proj =
      packer.Linear(at + "attn.proj", {.in = hidden, .out = hidden, .epilogue = Epilogue::kAdd});
  block.gate =
      packer.Linear(at + "mlp.gate_proj",
                    {.in = hidden, .out = wide, .result = element, .epilogue = Epilogue::kSilu});
  block.up = packer.Linear(
      at + "mlp.up_proj",
      {.in = hidden, .out = wide, .result = element, .epilogue = Epilogue::kMultiply});
  block.down =
      packer.Linear(at + "mlp.down_proj", {.in = wide, .out = hidden, .epilogue = Epilogue::kAdd});
  return block;
}

}  // namespace

absl::StatusOr<PackedTower> PackTower(const VisionConfig& config, const Checkpoint& checkpoint,
                                      Element element,
                                      const std::function<void(double)>& progress) {
  Packer packer(checkpoint, element, progress);
  const int64_t hidden = config.hidden_size;
  const int64_t merged = hidden * config.merge_unit();
  PackedTower tower;
  tower.patch_embed =
      packer.Linear("patch_embed.proj", {.in = config.patch_values(), .out = hidden}, false);
  for (int i = 0; i < config.depth && packer.status().ok(); ++i) {
    tower.blocks.push_back(PackBlock(config, packer, element, i));
  }
  tower.merger_norm = packer.Vector("merger.ln_q.weight");
  tower.merger_in =
      packer.Linear("merger.mlp.0",
                    {.in = merged, .out = merged, .result = element, .epilogue = Epilogue::kGelu});
  tower.merger_out = packer.Linear("merger.mlp.2", {.in = merged, .out = config.out_hidden_size});
  if (!packer.status().ok()) return packer.status();
  return tower;
}

}  // namespace emotion::vision

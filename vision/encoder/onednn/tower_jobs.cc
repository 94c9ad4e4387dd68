#include "vision/encoder/onednn/tower_jobs.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace emotion::vision {
namespace {

int64_t RoundedUp(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// The largest Hadamard block that makes `n` values at most 1/64 longer.
int64_t BlockFor(int64_t n) {
  int64_t block = 128;
  while ((RoundedUp(n, block) - n) * 64 > n) block /= 2;
  return block;
}

// An error of the first blocks passes through all others: of the difference to fp32, measured on a
// random tower with outliers, the first eighth of the blocks makes nearly half; any one kind of
// matrix, of all blocks, a quarter at most.
int BlocksNotInBytes(const VisionConfig& config, ByteLayers bytes) {
  return bytes == ByteLayers::kMost ? std::max(config.depth / 6, 1) : 0;
}

// Lists the jobs of a tower in its format.
class Lister {
 public:
  Lister(const VisionConfig& config, const TowerFormat& format, PackedTower& tower)
      : config_(config),
        format_(format),
        turned_(format.bytes != ByteLayers::kNone),
        hidden_(config.hidden_size),
        wide_block_(turned_ ? BlockFor(config.intermediate_size) : 1),
        tower_(tower) {
    tower_.element = format.element;
    tower_.intermediate = RoundedUp(config.intermediate_size, wide_block_);
    tower_.blocks.resize(static_cast<size_t>(config.depth));
  }

  std::vector<PackJob> List() {
    in_bytes_ = turned_;
    AddMerger();
    in_bytes_ = false;  // 0.2 % of the work, and all else rests on it
    Matrix("patch_embed.proj", &tower_.patch_embed,
           Format({.in = config_.patch_values(), .out = hidden_}), {.turn_out = hidden_});
    jobs_.back().bias = false;
    for (int i = 0; i < config_.depth; ++i) AddBlock(i, tower_.blocks[static_cast<size_t>(i)]);
    return std::move(jobs_);
  }

 private:
  void AddMerger() {
    const int64_t merged = hidden_ * config_.merge_unit();
    Matrix(
        "merger.mlp.0", &tower_.merger_in,
        Format(
            {.in = merged, .out = merged, .result = format_.element, .epilogue = Epilogue::kGelu}),
        {.norm = "merger.ln_q.weight", .turn_in = hidden_});
    LinearSpec out = Format({.in = merged, .out = config_.out_hidden_size});
    out.block = in_bytes_ && merged % BlockFor(merged) == 0 ? BlockFor(merged) : 1;
    Matrix("merger.mlp.2", &tower_.merger_out, out, {});
    Norm("merger.ln_q.weight", &tower_.merger_norm);
  }

  void AddBlock(int index, PackedBlock& block) {
    const std::string at = fmt::format("blocks.{}.", index);
    in_bytes_ = turned_ && index >= BlocksNotInBytes(config_, format_.bytes);
    const Element element = format_.element;
    const int64_t wide = tower_.intermediate;
    const int64_t dim = config_.head_dim();
    Norm(at + "norm1.weight", &block.norm1);
    Norm(at + "norm2.weight", &block.norm2);
    // Attention mixes the values of a head over patches, not with each other: they may be turned.
    Matrix(at + "attn.qkv", &block.qkv,
           Format({.in = hidden_, .out = 3 * hidden_, .result = element}),
           {.norm = at + "norm1.weight",
            .turn_in = hidden_,
            .turn_out = dim,
            .turned_from = 2 * hidden_});
    Matrix(at + "attn.proj", &block.proj,
           Format({.in = hidden_, .out = hidden_, .epilogue = Epilogue::kAdd}),
           {.turn_in = dim, .turn_out = hidden_});
    const Fit reads_stream = {.norm = at + "norm2.weight", .turn_in = hidden_};
    Matrix(at + "mlp.gate_proj", &block.gate,
           Format({.in = hidden_, .out = wide, .result = element, .epilogue = Epilogue::kSilu}),
           reads_stream);
    Matrix(at + "mlp.up_proj", &block.up,
           Format({.in = hidden_, .out = wide, .result = element, .epilogue = Epilogue::kMultiply}),
           reads_stream);
    LinearSpec down = Format({.in = wide, .out = hidden_, .epilogue = Epilogue::kAdd});
    down.block = in_bytes_ ? wide_block_ : 1;
    Matrix(at + "mlp.down_proj", &block.down, down, {.turn_out = hidden_});
  }

  LinearSpec Format(LinearSpec spec) const {
    spec.element = in_bytes_ ? Element::kInt8 : format_.element;
    spec.emulate_bf16 = !in_bytes_ && format_.emulate_bf16;
    spec.pieces = format_.pieces;
    return spec;
  }

  void Norm(std::string name, std::vector<float>* to) {
    jobs_.push_back({.name = std::move(name), .vector = to, .ones = turned_});
  }

  void Matrix(std::string name, PackedLinear* to, const LinearSpec& spec, const Fit& fit) {
    jobs_.push_back(
        {.name = std::move(name), .linear = to, .spec = spec, .fit = turned_ ? fit : Fit{}});
  }

  const VisionConfig& config_;
  const TowerFormat& format_;
  const bool turned_;
  const int64_t hidden_;
  const int64_t wide_block_;
  bool in_bytes_ = false;  // what is being listed
  PackedTower& tower_;
  std::vector<PackJob> jobs_;
};

}  // namespace

std::vector<PackJob> ListPackJobs(const VisionConfig& config, const TowerFormat& format,
                                  PackedTower& tower) {
  return Lister(config, format, tower).List();
}

}  // namespace emotion::vision

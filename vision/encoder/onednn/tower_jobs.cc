#include "vision/encoder/onednn/tower_jobs.h"

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
    AddMerger();
    Matrix("patch_embed.proj", &tower_.patch_embed,
           Plain({.in = config_.patch_values(), .out = hidden_}), {.turn_out = hidden_});
    jobs_.back().bias = false;
    for (int i = 0; i < config_.depth; ++i) AddBlock(i, tower_.blocks[static_cast<size_t>(i)]);
    return std::move(jobs_);
  }

 private:
  void AddMerger() {
    const int64_t merged = hidden_ * config_.merge_unit();
    Matrix(
        "merger.mlp.0", &tower_.merger_in,
        Bytes(
            {.in = merged, .out = merged, .result = format_.element, .epilogue = Epilogue::kGelu}),
        {.norm = "merger.ln_q.weight", .turn_in = hidden_});
    LinearSpec out = Bytes({.in = merged, .out = config_.out_hidden_size});
    if (out.element == Element::kInt8 && merged % BlockFor(merged) == 0) {
      out.block = BlockFor(merged);
    }
    Matrix("merger.mlp.2", &tower_.merger_out, out, {});
    Norm("merger.ln_q.weight", &tower_.merger_norm);
  }

  void AddBlock(int index, PackedBlock& block) {
    const std::string at = fmt::format("blocks.{}.", index);
    const Element element = format_.element;
    const int64_t wide = tower_.intermediate;
    const int64_t dim = config_.head_dim();
    Norm(at + "norm1.weight", &block.norm1);
    Norm(at + "norm2.weight", &block.norm2);
    // Attention mixes the values of a head over patches, not with each other: they may be turned.
    Matrix(at + "attn.qkv", &block.qkv,
           Bytes({.in = hidden_, .out = 3 * hidden_, .result = element}),
           {.norm = at + "norm1.weight",
            .turn_in = hidden_,
            .turn_out = dim,
            .turned_from = 2 * hidden_});
    Matrix(at + "attn.proj", &block.proj,
           Bytes({.in = hidden_, .out = hidden_, .epilogue = Epilogue::kAdd}),
           {.turn_in = dim, .turn_out = hidden_});
    const Fit reads_stream = {.norm = at + "norm2.weight", .turn_in = hidden_};
    Matrix(at + "mlp.gate_proj", &block.gate,
           Bytes({.in = hidden_, .out = wide, .result = element, .epilogue = Epilogue::kSilu}),
           reads_stream);
    Matrix(at + "mlp.up_proj", &block.up,
           Bytes({.in = hidden_, .out = wide, .result = element, .epilogue = Epilogue::kMultiply}),
           reads_stream);
    LinearSpec down = {.in = wide, .out = hidden_, .epilogue = Epilogue::kAdd};
    down = format_.bytes == ByteLayers::kAll ? Bytes(down) : Plain(down);
    if (down.element == Element::kInt8) down.block = wide_block_;
    Matrix(at + "mlp.down_proj", &block.down, down, {.turn_out = hidden_});
  }

  LinearSpec Plain(LinearSpec spec) const {
    spec.element = format_.element;
    spec.emulate_bf16 = format_.emulate_bf16;
    return spec;
  }

  LinearSpec Bytes(LinearSpec spec) const {
    if (!turned_) return Plain(spec);
    spec.element = Element::kInt8;
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
  PackedTower& tower_;
  std::vector<PackJob> jobs_;
};

}  // namespace

std::vector<PackJob> ListPackJobs(const VisionConfig& config, const TowerFormat& format,
                                  PackedTower& tower) {
  return Lister(config, format, tower).List();
}

}  // namespace emotion::vision

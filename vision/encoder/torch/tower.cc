#include "vision/encoder/torch/tower.h"

#include <algorithm>
#include <map>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "vision/encoder/torch/attention.h"
#include "vision/encoder/torch/linear.h"

namespace emotion::vision {
namespace {

constexpr double kNormEpsilon = 1e-6;

bool IsIdentity(const std::vector<int64_t>& order) {
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

at::Tensor IndexTensor(const std::vector<int64_t>& indexes, at::Device device) {
  return at::tensor(indexes, at::dtype(at::kLong)).to(device);
}

SegmentPlan PlanSegments(const std::vector<Segment>& segments, at::Device device) {
  std::map<int64_t, std::vector<Segment>> by_length;
  for (const Segment& segment : segments) by_length[segment.length].push_back(segment);
  SegmentPlan plan;
  std::vector<int64_t> gathered;
  for (const auto& [length, members] : by_length) {
    std::vector<int64_t> patches;
    for (const Segment& segment : members) {
      for (int64_t i = 0; i < length; ++i) patches.push_back(segment.begin + i);
    }
    gathered.insert(gathered.end(), patches.begin(), patches.end());
    plan.groups.push_back(
        {.length = length,
         .count = static_cast<int64_t>(members.size()),
         .patches = by_length.size() == 1 ? at::Tensor() : IndexTensor(patches, device)});
  }
  if (by_length.size() > 1) {
    std::vector<int64_t> restore(gathered.size());
    for (size_t i = 0; i < gathered.size(); ++i) restore[gathered[i]] = static_cast<int64_t>(i);
    plan.restore = IndexTensor(restore, device);
  }
  return plan;
}

// Moves merge groups: x [groups * unit, n] by order [groups].
at::Tensor PermuteGroups(const at::Tensor& x, const at::Tensor& order, int64_t unit) {
  if (!order.defined()) return x;
  return x.reshape({x.size(0) / unit, -1}).index_select(0, order).reshape(x.sizes());
}

// x float32 -> the weight's dtype.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  const auto scale = at::rsqrt((x * x).mean(-1, /*keepdim=*/true) + kNormEpsilon);
  return weight * (x * scale).to(weight.scalar_type());
}

// x [patches, heads, head_dim]; the first half of a head pairs with the second.
at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto wide = x.to(at::kFloat);
  const auto halves = wide.chunk(2, -1);
  const auto turned = at::cat({-halves[1], halves[0]}, -1);
  return (wide * cos + turned * sin).to(x.scalar_type());
}

at::Tensor Attention(const VisionConfig& config, const BlockWeights& block, const BatchPlan& plan,
                     const SegmentPlan& segments, const at::Tensor& x) {
  const auto qkv = Linear(x, block.qkv.weight, block.qkv.bias)
                       .reshape({x.size(0), 3, config.num_heads, config.head_dim()});
  const auto q = Rotate(qkv.select(1, 0), plan.cos, plan.sin);
  const auto k = Rotate(qkv.select(1, 1), plan.cos, plan.sin);
  const auto v = qkv.select(1, 2);
  const auto attended = AttendSegments(segments, q, k, v);
  return Linear(attended, block.proj.weight, block.proj.bias);
}

at::Tensor Mlp(const BlockWeights& block, const at::Tensor& x) {
  const auto gate = at::silu(Linear(x, block.gate.weight, block.gate.bias));
  const auto up = Linear(x, block.up.weight, block.up.bias);
  return Linear(gate * up, block.down.weight, block.down.bias);
}

at::Tensor Merge(const VisionConfig& config, const TowerWeights& weights, const at::Tensor& x) {
  const auto merged = RmsNorm(x, weights.merger_norm)
                          .reshape({-1, int64_t{config.hidden_size} * config.merge_unit()});
  const auto wide = at::gelu(Linear(merged, weights.merger_in.weight, weights.merger_in.bias));
  return Linear(wide, weights.merger_out.weight, weights.merger_out.bias);
}

}  // namespace

absl::StatusOr<BatchPlan> PlanBatch(const VisionConfig& config, std::span<const Grid> grids,
                                    at::Device device) {
  auto layout = MakeWindowLayout(config, grids);
  if (!layout.ok()) return layout.status();
  BatchPlan plan;
  plan.tokens_per_image = layout->tokens_per_image;
  if (!IsIdentity(layout->group_order)) {
    plan.group_order = IndexTensor(layout->group_order, device);
    plan.group_place = IndexTensor(layout->group_place, device);
  }
  plan.windows = PlanSegments(layout->windows, device);
  plan.frames = PlanSegments(layout->frames, device);

  const auto angles = at::tensor(RotaryAngles(config, grids), at::dtype(at::kFloat))
                          .reshape({layout->patches, config.head_dim() / 2});
  const auto half = PermuteGroups(angles.to(device), plan.group_order, config.merge_unit());
  const auto whole = at::cat({half, half}, -1).unsqueeze(1);
  plan.cos = whole.cos();
  plan.sin = whole.sin();
  return plan;
}

at::Tensor ForwardTower(const VisionConfig& config, const TowerWeights& weights,
                        const BatchPlan& plan, const at::Tensor& rows,
                        const LayerObserver& observe) {
  auto x =
      Linear(rows.to(weights.patch_embed.scalar_type()), weights.patch_embed, {}).to(at::kFloat);
  x = PermuteGroups(x, plan.group_order, config.merge_unit());
  if (observe) observe(-1, x);
  for (int i = 0; i < config.depth; ++i) {
    const BlockWeights& block = weights.blocks[i];
    const SegmentPlan& segments = config.full_attention(i) ? plan.frames : plan.windows;
    x = x + Attention(config, block, plan, segments, RmsNorm(x, block.norm1));
    x = x + Mlp(block, RmsNorm(x, block.norm2));
    if (observe) observe(i, x);
  }
  const auto tokens = Merge(config, weights, x);
  return plan.group_place.defined() ? tokens.index_select(0, plan.group_place) : tokens;
}

at::Tensor PoolTokens(const BatchPlan& plan, const at::Tensor& tokens) {
  const auto& counts = plan.tokens_per_image;
  if (std::equal(counts.begin() + 1, counts.end(), counts.begin())) {
    const auto images = static_cast<int64_t>(counts.size());
    return tokens.reshape({images, counts.front(), tokens.size(1)}).to(at::kFloat).mean(1);
  }
  std::vector<at::Tensor> pooled;
  int64_t first = 0;
  for (const int64_t count : counts) {
    pooled.push_back(tokens.narrow(0, first, count).to(at::kFloat).mean(0));
    first += count;
  }
  return at::stack(pooled);
}

}  // namespace emotion::vision

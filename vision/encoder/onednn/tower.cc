#include "vision/encoder/onednn/tower.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error/error.h"
#include "vision/encoder/onednn/quantised_weights.h"

namespace emotion::vision {
namespace {

// Values that one member of the team brings to their next form at a time: some microseconds' work,
// or handing it out would cost more than it brings. Where there are no more the caller does it.
constexpr int64_t kValuesAtOnce = 16 * 1024;

// Rows of `order`, each `unit` patches long, brought into window order.
std::vector<float> InWindowOrder(const std::vector<float>& values, const WindowLayout& layout,
                                 size_t group_values) {
  std::vector<float> ordered(values.size());
  for (size_t place = 0; place < layout.group_order.size(); ++place) {
    const float* from =
        values.data() + static_cast<size_t>(layout.group_order[place]) * group_values;
    std::copy_n(from, group_values, ordered.data() + place * group_values);
  }
  return ordered;
}

int64_t RowsAtOnce(int64_t width) { return std::max<int64_t>(kValuesAtOnce / width, 1); }

size_t Bytes(int64_t rows, int64_t width, Element element) {
  return static_cast<size_t>(rows) * static_cast<size_t>(width) * BytesOf(element);
}

std::byte* Row(const AlignedBuffer& buffer, int64_t row, int64_t width, Element element) {
  return buffer.as<std::byte>() + Bytes(row, width, element);
}

}  // namespace

absl::StatusOr<TowerPlan> PlanTower(const VisionConfig& config, std::span<const Grid> grids) {
  auto layout = MakeWindowLayout(config, grids);
  if (!layout.ok()) return layout.status();
  TowerPlan plan;
  plan.grids.assign(grids.begin(), grids.end());
  plan.layout = *std::move(layout);
  const auto half = static_cast<size_t>(config.head_dim() / 2);
  const std::vector<float> angles = InWindowOrder(RotaryAngles(config, grids), plan.layout,
                                                  half * static_cast<size_t>(config.merge_unit()));
  plan.cos.resize(angles.size());
  plan.sin.resize(angles.size());
  std::transform(angles.begin(), angles.end(), plan.cos.begin(),
                 [](float a) { return std::cos(a); });
  std::transform(angles.begin(), angles.end(), plan.sin.begin(),
                 [](float a) { return std::sin(a); });
  return plan;
}

TowerPass::TowerPass(const VisionConfig& config, const PackedTower& weights, Team& team)
    : config_(config),
      weights_(weights),
      element_(weights.element),
      kernels_(*UsableKernels().front()),
      team_(team) {}

void TowerPass::Reserve(int64_t patches) {
  const int64_t hidden = config_.hidden_size;
  const int64_t tokens = patches / config_.merge_unit();
  input_.Reserve(Bytes(patches, config_.patch_values(), element_));
  residual_.Reserve(Bytes(patches, hidden, Element::kF32));
  normed_.Reserve(Bytes(patches, hidden, element_));
  qkv_.Reserve(Bytes(patches, 3 * hidden, element_));
  attended_.Reserve(Bytes(patches, hidden, element_));
  gate_.Reserve(Bytes(patches, weights_.intermediate, element_));
  up_.Reserve(Bytes(patches, weights_.intermediate, element_));
  merged_.Reserve(Bytes(patches, hidden, element_));
  tokens_.Reserve(Bytes(tokens, config_.out_hidden_size, Element::kF32));
  bytes_.Reserve(Bytes(patches, std::max(hidden, weights_.intermediate), Element::kInt8) +
                 kByteStep);
  scales_.Reserve(Bytes(patches, 1, Element::kF32));
}

// Window order from the start: nothing is permuted later, and an image's tokens stay together.
void TowerPass::GatherRows(const TowerPlan& plan, std::span<const Patches* const> images) {
  const int64_t width = int64_t{config_.patch_values()} * config_.merge_unit();
  std::vector<const float*> groups;  // of the input
  for (const Patches* image : images) {
    for (size_t at = 0; at < image->rows.size(); at += static_cast<size_t>(width)) {
      groups.push_back(image->rows.data() + at);
    }
  }
  const auto places = std::ssize(plan.layout.group_order);
  const int64_t part = RowsAtOnce(width);
  team_.ForEach((places + part - 1) / part, [&](int64_t item, int) {
    for (int64_t place = item * part; place < std::min(places, (item + 1) * part); ++place) {
      const auto group = plan.layout.group_order[static_cast<size_t>(place)];
      const float* from = groups[static_cast<size_t>(group)];
      std::byte* to = Row(input_, place, width, element_);
      if (element_ == Element::kF32) {
        std::memcpy(to, from, static_cast<size_t>(width) * sizeof(float));
      } else {
        kernels_.to_bf16(from, static_cast<size_t>(width), reinterpret_cast<uint16_t*>(to));
      }
    }
  });
}

absl::Status TowerPass::Multiply(const PackedLinear& linear, int64_t rows, const ProductInput& x,
                                 const AlignedBuffer& y, const void* other) {
  return products_.Run(linear, rows, team_, x, y.as(), other);
}

absl::StatusOr<std::span<const float>> TowerPass::Run(const TowerPlan& plan,
                                                      std::span<const Patches* const> images,
                                                      const LayerObserver& observe) {
  const int64_t patches = plan.layout.patches;
  const int64_t tokens = patches / config_.merge_unit();
  Reserve(patches);
  GatherRows(plan, images);
  const auto show = [&](int layer) {
    if (observe) {
      observe(layer, {residual_.as<float>(), static_cast<size_t>(patches * config_.hidden_size)});
    }
  };
  absl::Status status = Multiply(weights_.patch_embed, patches, {input_.as()}, residual_);
  show(-1);
  for (int i = 0; i < config_.depth && status.ok(); ++i) {
    status = RunBlock(i, plan);
    show(i);
  }
  if (!status.ok()) return status;
  // [patches, hidden] is [tokens, hidden * merge_unit].
  const ProductInput x = Norm(weights_.merger_norm, patches, weights_.merger_in);
  status = Multiply(weights_.merger_in, tokens, x, merged_);
  if (!status.ok()) return status;
  const PackedLinear& last = weights_.merger_out;
  status = Multiply(last, tokens, InputOf(last, tokens, merged_), tokens_);
  if (!status.ok()) return status;
  return std::span<const float>(tokens_.as<float>(),
                                static_cast<size_t>(tokens * config_.out_hidden_size));
}

absl::Status TowerPass::RunBlock(int index, const TowerPlan& plan) {
  const PackedBlock& block = weights_.blocks[static_cast<size_t>(index)];
  const int64_t patches = plan.layout.patches;
  ProductInput x = Norm(block.norm1, patches, block.qkv);
  absl::Status status = Multiply(block.qkv, patches, x, qkv_);
  if (!status.ok()) return status;
  Attend(plan, config_.full_attention(index) ? plan.layout.frames : plan.layout.windows);
  x = InputOf(block.proj, patches, attended_);
  status = Multiply(block.proj, patches, x, residual_);
  if (!status.ok()) return status;
  x = Norm(block.norm2, patches, block.gate);
  status = Multiply(block.gate, patches, x, gate_);
  if (status.ok()) status = Multiply(block.up, patches, x, up_, gate_.as());
  if (!status.ok()) return status;
  x = InputOf(block.down, patches, up_);
  return Multiply(block.down, patches, x, residual_);
}

// The residual stream as its reader takes it: weighted values, or bytes with a scale for each row
// of the reader's. A batch of patches is cut between rows of the reader, which may be several
// patches long.
ProductInput TowerPass::Norm(std::span<const float> weight, int64_t patches,
                             const PackedLinear& reader) {
  const int64_t hidden = config_.hidden_size;
  const int64_t group = reader.spec().in / hidden;
  const int64_t part = (RowsAtOnce(hidden) + group - 1) / group * group;
  const bool to_bytes = reader.spec().element == Element::kInt8;
  team_.ForEach((patches + part - 1) / part, [&](int64_t item, int) {
    const int64_t begin = item * part;
    const float* x = residual_.as<float>() + begin * hidden;
    const int64_t rows = std::min(part, patches - begin);
    if (to_bytes) {
      kernels_.norm_quantise({.x = x,
                              .rows = rows,
                              .width = hidden,
                              .group = group,
                              .range = RangeOf(ByteProductsHere()),
                              .out = bytes_.as<uint8_t>() + begin * hidden,
                              .scales = scales_.as<float>() + begin / group});
    } else {
      kernels_.norm({.x = x,
                     .weight = weight.data(),
                     .rows = rows,
                     .width = hidden,
                     .element = element_,
                     .out = Row(normed_, begin, hidden, element_)});
    }
  });
  return to_bytes ? ProductInput{bytes_.as(), scales_.as<float>()} : ProductInput{normed_.as()};
}

// What stands in `x` as its reader takes it: as it is, or in bytes.
ProductInput TowerPass::InputOf(const PackedLinear& reader, int64_t rows, const AlignedBuffer& x) {
  const LinearSpec& spec = reader.spec();
  if (spec.element != Element::kInt8) return {x.as()};
  ReserveScratch(static_cast<size_t>(spec.in) * sizeof(float));
  const int64_t part = RowsAtOnce(spec.in);
  team_.ForEach((rows + part - 1) / part, [&](int64_t item, int member) {
    const int64_t begin = item * part;
    kernels_.quantise({.x = Row(x, begin, spec.in, element_),
                       .rows = std::min(part, rows - begin),
                       .width = spec.in,
                       .block = spec.block,
                       .element = element_,
                       .range = RangeOf(ByteProductsHere()),
                       .scratch = scratch_[static_cast<size_t>(member)].as<float>(),
                       .out = bytes_.as<uint8_t>() + begin * spec.in,
                       .scales = scales_.as<float>() + begin});
  });
  return {bytes_.as(), scales_.as<float>()};
}

void TowerPass::ReserveScratch(size_t bytes) {
  scratch_.resize(std::max(scratch_.size(), static_cast<size_t>(team_.size())));
  for (AlignedBuffer& scratch : scratch_) scratch.Reserve(bytes);
}

void TowerPass::Attend(const TowerPlan& plan, std::span<const Segment> segments) {
  const int64_t hidden = config_.hidden_size;
  const int64_t dim = config_.head_dim();
  const int64_t heads = config_.num_heads;
  int64_t longest = 0;
  for (const Segment& segment : segments) longest = std::max(longest, segment.length);
  ReserveScratch(HeadScratch(longest, dim) * sizeof(float));
  const auto tasks = static_cast<int64_t>(segments.size()) * heads;
  team_.ForEach(tasks, [&](int64_t task, int member) {
    const Segment& segment = segments[static_cast<size_t>(task / heads)];
    const int64_t column = task % heads * dim;
    const std::byte* qkv = Row(qkv_, segment.begin, 3 * hidden, element_);
    kernels_.attend(
        {.q = qkv + Bytes(1, column, element_),
         .k = qkv + Bytes(1, hidden + column, element_),
         .v = qkv + Bytes(1, 2 * hidden + column, element_),
         .stride = 3 * hidden,
         .cos = plan.cos.data() + segment.begin * (dim / 2),
         .sin = plan.sin.data() + segment.begin * (dim / 2),
         .rows = segment.length,
         .dim = dim,
         .element = element_,
         .scratch = scratch_[static_cast<size_t>(member)].as<float>(),
         .out = Row(attended_, segment.begin, hidden, element_) + Bytes(1, column, element_),
         .out_stride = hidden});
  });
}

}  // namespace emotion::vision

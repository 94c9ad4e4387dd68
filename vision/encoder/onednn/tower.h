// The Qwen2.5-VL vision tower on packed products: weights, the buffers of a pass, the pass.
//
// What transformers' Qwen2_5_VisionTransformerPretrainedModel computes with eager attention, but
// for roundings: the residual stream stays fp32 whatever the products' precision, and softmax,
// norms and rotary turns are computed in fp32.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/team.h"
#include "vision/encoder/fingerprint.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"
#include "vision/encoder/weights.h"
#include "vision/encoder/window_layout.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

// Which products are computed in bytes (W8A8: weights with a scale for each output, values with one
// for each patch). kMost leaves out the first sixth of the blocks.
enum class ByteLayers { kNone, kMost, kAll };

// What a tower computes in.
struct TowerFormat {
  Element element = Element::kF32;  // kF32 or kBf16: of all that is not in bytes
  ByteLayers bytes = ByteLayers::kNone;
  bool emulate_bf16 = false;  // see LinearSpec. This and the next.
  int pieces = 1;
};

struct PackedBlock {
  std::vector<float> norm1;  // [hidden]
  std::vector<float> norm2;  // [hidden]
  PackedLinear qkv;          // out = 3 hidden: all q, then all k, then all v
  PackedLinear proj;         // adds to the residual stream
  PackedLinear gate;         // through SiLU
  PackedLinear up;           // times the gate
  PackedLinear down;         // adds to the residual stream
};

// With products in bytes the residual stream is turned (turn.h), norms have no weight, and the
// MLP's width is rounded up.
struct PackedTower {
  Element element = Element::kF32;  // of values between products
  int64_t intermediate = 0;         // of the MLPs
  PackedLinear patch_embed;
  std::vector<PackedBlock> blocks;
  std::vector<float> merger_norm;  // [hidden]
  PackedLinear merger_in;          // through GELU
  PackedLinear merger_out;
};

struct PackedModel {
  PackedTower tower;
  TensorDigests digests;  // taken in the same pass over the files
};

// Packs the checkpoint's weights, `threads` tensors at a time; the pages behind each are given
// back, so memory peaks at the packed weights plus the tensors at hand. `progress` is told the
// share that is done, from 0 to 1, by one thread at a time. Errors: see PackedLinear::Pack.
absl::StatusOr<PackedModel> PackTower(const VisionConfig& config, const Checkpoint& checkpoint,
                                      const TowerFormat& format, int threads,
                                      const std::function<void(double)>& progress = {});

// Where the patches of a batch go and how they turn: depends on the grids only.
struct TowerPlan {
  std::vector<Grid> grids;
  WindowLayout layout;
  std::vector<float> cos;  // [patches, head_dim / 2], in window order
  std::vector<float> sin;
};

// INVALID_ARGUMENT when a grid does not fit the model.
absl::StatusOr<TowerPlan> PlanTower(const VisionConfig& config, std::span<const Grid> grids);

// One pass at a time. Holds its buffers from pass to pass, sized by the largest batch so far; the
// weights may be shared with other passes.
class TowerPass {
 public:
  // Sees the residual stream, [patches, hidden] in window order, before block 0 (layer -1) and
  // after each block. For tests.
  using LayerObserver = std::function<void(int layer, std::span<const float> x)>;

  // Borrows all.
  TowerPass(const VisionConfig& config, const PackedTower& weights, Team& team);

  // rows: of the batch's images in their order, each [patches, patch_values] as in Patches. Gives
  // the output tokens in window order, [patches / merge_unit, out_hidden] fp32, valid until the
  // next call; an image's tokens stand together.
  absl::StatusOr<std::span<const float>> Run(const TowerPlan& plan,
                                             std::span<const Patches* const> images,
                                             const LayerObserver& observe = {});

 private:
  void Reserve(int64_t patches);
  void GatherRows(const TowerPlan& plan, std::span<const Patches* const> images);
  absl::Status RunBlock(int index, const TowerPlan& plan);
  absl::Status Multiply(const PackedLinear& linear, int64_t rows, const ProductInput& x,
                        const AlignedBuffer& y, const void* other = nullptr);
  ProductInput Norm(std::span<const float> weight, int64_t patches, const PackedLinear& reader);
  ProductInput InputOf(const PackedLinear& reader, int64_t rows, const AlignedBuffer& x);
  void ReserveScratch(size_t bytes);
  void Attend(const TowerPlan& plan, std::span<const Segment> segments);

  const VisionConfig& config_;
  const PackedTower& weights_;
  const Element element_;  // "the element" below
  const Kernels& kernels_;
  Team& team_;

  AlignedBuffer input_;     // [patches, patch_values] of the element; later the merger's width
  AlignedBuffer residual_;  // [patches, hidden] fp32
  AlignedBuffer normed_;    // [patches, hidden]
  AlignedBuffer qkv_;       // [patches, 3 hidden]
  AlignedBuffer attended_;  // [patches, hidden]
  AlignedBuffer gate_;      // [patches, intermediate]
  AlignedBuffer up_;        // [patches, intermediate]
  AlignedBuffer merged_;    // [patches / merge_unit, hidden * merge_unit]
  AlignedBuffer tokens_;    // [patches / merge_unit, out_hidden] fp32
  AlignedBuffer bytes_;     // what the next product reads, where it is in bytes
  AlignedBuffer scales_;    // [patches] of those
  std::vector<AlignedBuffer> scratch_;  // one for each member of the team
  Products products_;
};

}  // namespace emotion::vision

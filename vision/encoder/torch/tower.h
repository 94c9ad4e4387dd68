// The Qwen2.5-VL vision tower as functions on tensors: what serving runs and training
// differentiates.
//
// No state: weights are a struct of tensors, a batch is a struct of index tensors, and each stage
// is a free function. Gradients flow to every weight that requires them (nothing is done in place).
// What transformers' Qwen2_5_VisionTransformerPretrainedModel computes with eager attention:
// RMSNorm, rotary angles and softmax in fp32, products in the weights' dtype. One thing is better:
// the residual stream is fp32 whatever the weights are, where fp16 would overflow and bf16 lose
// digits. Include only where LibTorch is at home.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/weights.h"
#include "vision/encoder/window_layout.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

struct LinearWeights {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]
};

struct BlockWeights {
  at::Tensor norm1;   // [hidden]
  at::Tensor norm2;   // [hidden]
  LinearWeights qkv;  // out = 3 hidden: all q, then all k, then all v
  LinearWeights proj;
  LinearWeights gate;
  LinearWeights up;
  LinearWeights down;
};

// All of one dtype (kFloat, kBFloat16 or kHalf), contiguous, on one device.
struct TowerWeights {
  at::Tensor patch_embed;  // [hidden, patch_values], the Conv3d's kernel flattened
  std::vector<BlockWeights> blocks;
  at::Tensor merger_norm;  // [hidden]
  LinearWeights merger_in;
  LinearWeights merger_out;
};

// Gives a tensor by its name in the checkpoint, without prefix, in any dtype and on any device.
using TensorSource = std::function<at::Tensor(const std::string& name)>;

// A tower of what `source` gives, in its dtype and where it is.
TowerWeights AssembleTower(const VisionConfig& config, const TensorSource& source);

// Sees a tensor's bytes in the checkpoint, once, before they are given back to the kernel.
using TensorObserver = std::function<void(const std::string& name, const TensorView& tensor)>;

// Copies the checkpoint's weights to `device` as `dtype`; peak memory is theirs plus one tensor.
// Throws what LibTorch throws (out of memory, a device that is not there).
TowerWeights LoadTower(const VisionConfig& config, const Checkpoint& checkpoint,
                       at::ScalarType dtype, at::Device device, const TensorObserver& observe = {});

// Segments of equal length, gathered so that one batched product serves them all.
struct SegmentGroup {
  int64_t length = 0;  // patches of each segment
  int64_t count = 0;   // segments
  at::Tensor
      patches;  // [count * length] int64: the patches in window order; undefined: all, in order
};

struct SegmentPlan {
  std::vector<SegmentGroup> groups;
  at::Tensor restore;  // [patches] int64: undoes the gathering; undefined when nothing was gathered
};

// The index tensors of one batch, on the device of the weights.
struct BatchPlan {
  std::vector<int64_t> tokens_per_image;
  at::Tensor group_order;  // [groups] int64, see WindowLayout; undefined: the identity
  at::Tensor group_place;  // [groups] int64, its inverse; undefined: the identity
  at::Tensor cos;          // [patches, 1, head_dim] float32, in window order
  at::Tensor sin;          // [patches, 1, head_dim] float32, in window order
  SegmentPlan windows;
  SegmentPlan frames;
};

// INVALID_ARGUMENT when a grid does not fit the model.
absl::StatusOr<BatchPlan> PlanBatch(const VisionConfig& config, std::span<const Grid> grids,
                                    at::Device device);

// Sees the residual stream, [patches, hidden] float32 in window order, before block 0 (layer -1)
// and after each block (layer 0, 1, ...). For tests.
using LayerObserver = std::function<void(int layer, const at::Tensor& x)>;

// rows [patches, patch_values], any floating dtype, on the device of the weights -> output tokens
// [patches / merge_unit, out_hidden], in the order of the input.
at::Tensor ForwardTower(const VisionConfig& config, const TowerWeights& weights,
                        const BatchPlan& plan, const at::Tensor& rows,
                        const LayerObserver& observe = {});

// The mean of each image's output tokens in fp32: [images, out_hidden].
at::Tensor PoolTokens(const BatchPlan& plan, const at::Tensor& tokens);

}  // namespace emotion::vision

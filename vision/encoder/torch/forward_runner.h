// One batch on one device: rows into staging memory, the forward pass, vectors back, one wait.
//
// Staging memory is kept and grows to the largest batch. What depends on the grids alone (index
// tensors, rotary angles) is kept for the last few batches. On a device that records, the forward
// of up to eight faces is recorded at the first encode of each number of them and replayed from
// then on: the host then starts one graph instead of a thousand kernels. "Faces" are images as
// large as the first one ever encoded, which in a service is its self-test's. A recording must
// give, from the same rows, what was computed without it; whatever goes wrong with one is said
// once, and no more are made.
//
// Include only where LibTorch is at home.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "vision/encoder/torch/accelerator.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::vision {

class ForwardRunner {
 public:
  using Vectors = std::vector<std::vector<float>>;
  using Warn = std::function<void(std::string_view)>;

  // `weights` lie on the accelerator's device. `warn` may be empty.
  ForwardRunner(VisionConfig config, TowerWeights weights, std::unique_ptr<Accelerator> accelerator,
                Warn warn);

  // As VisionEncoder::Encode. Out of memory, everything that can be freed on the device is.
  absl::StatusOr<Vectors> Run(std::span<const Patches* const> images);

  size_t recordings() const;  // that are held

 private:
  // What is known of a batch by its grids.
  struct Batch {
    std::vector<Grid> grids;
    BatchPlan plan;
    int64_t patches = 0;
    // The recorded pass and where it reads and leaves its values, on the device; null: computed
    // step by step.
    at::Tensor rows;    // [patches, patch_values] float32
    at::Tensor pooled;  // [images, dim] float32
    std::unique_ptr<Recording> recording;
  };

  absl::StatusOr<Vectors> RunOnStream(std::span<const Patches* const> images);
  absl::StatusOr<Batch*> FindBatch(std::vector<Grid> grids);
  absl::Status Stage(std::span<const Patches* const> images, const Batch& batch);
  at::Tensor Forward(const Batch& batch, const at::Tensor& rows) const;
  at::Tensor Compute(Batch& batch);
  bool ToBeRecorded(const Batch& batch) const;
  void Record(Batch& batch, const Vectors& expected);
  Vectors Fetch(const at::Tensor& pooled);
  void MakeRoom();

  const VisionConfig config_;
  const TowerWeights weights_;
  const std::unique_ptr<Accelerator> accelerator_;
  const Warn warn_;

  at::Tensor staging_;  // [patches, patch_values] float32 on the host; undefined: none yet
  at::Tensor results_;  // [images, dim] float32 on the host; undefined: none yet
  std::optional<Grid> face_;
  bool records_ = true;
  std::vector<std::unique_ptr<Batch>> batches_;  // the last ones first
};

}  // namespace emotion::vision

#include "vision/encoder/torch/forward_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/encoder/torch/guarded.h"

namespace emotion::vision {
namespace {

constexpr size_t kLargestRecorded = 8;  // images; larger batches keep a device busy without
constexpr size_t kBatchesKept = 16;     // more than recordings there can be

// Makes `memory` hold at least `rows`.
void Grow(at::Tensor& memory, int64_t rows, int64_t columns, Accelerator& accelerator) {
  if (memory.defined() && memory.size(0) >= rows) return;
  memory = at::Tensor();  // before the larger one is asked for
  memory = accelerator.HostMemory(rows, columns);
}

// The same kernels on the same rows: apart, at most, by the order of some sums in half precision.
bool AreClose(const ForwardRunner::Vectors& found, const ForwardRunner::Vectors& expected) {
  constexpr float kTolerance = 0.01F;
  for (size_t i = 0; i < expected.size(); ++i) {
    float largest = 0;
    float difference = 0;
    for (size_t j = 0; j < expected[i].size(); ++j) {
      largest = std::max(largest, std::abs(expected[i][j]));
      difference = std::max(difference, std::abs(found[i][j] - expected[i][j]));
    }
    // Not finite, as fp16 may be, is for the caller to find.
    if (std::isfinite(largest) && !(difference <= kTolerance * largest)) return false;
  }
  return true;
}

}  // namespace

ForwardRunner::ForwardRunner(VisionConfig config, TowerWeights weights,
                             std::unique_ptr<Accelerator> accelerator, Warn warn)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      accelerator_(std::move(accelerator)),
      warn_(std::move(warn)) {}

absl::StatusOr<ForwardRunner::Vectors> ForwardRunner::Run(std::span<const Patches* const> images) {
  if (images.empty()) return Vectors();
  auto vectors = Guarded("encoding", [&] {
    const c10::InferenceMode inference;
    absl::StatusOr<Vectors> result = Vectors();
    accelerator_->OnStream([&] { result = RunOnStream(images); });
    return result;
  });
  if (vectors.status().code() == absl::StatusCode::kResourceExhausted) MakeRoom();
  return vectors;
}

size_t ForwardRunner::recordings() const {
  return std::count_if(batches_.begin(), batches_.end(),
                       [](const auto& batch) { return batch->recording != nullptr; });
}

absl::StatusOr<ForwardRunner::Vectors> ForwardRunner::RunOnStream(
    std::span<const Patches* const> images) {
  std::vector<Grid> grids;
  for (const Patches* image : images) grids.push_back(image->grid);
  // First of all: it checks the grids that the row counts are compared with.
  const auto batch = FindBatch(std::move(grids));
  if (!batch.ok()) return batch.status();
  if (auto staged = Stage(images, **batch); !staged.ok()) return staged;
  Vectors vectors = Fetch(Compute(**batch));
  if (!face_) face_ = images.front()->grid;
  if (ToBeRecorded(**batch)) Record(**batch, vectors);
  return vectors;
}

absl::StatusOr<ForwardRunner::Batch*> ForwardRunner::FindBatch(std::vector<Grid> grids) {
  const auto known = std::find_if(batches_.begin(), batches_.end(),
                                  [&](const auto& batch) { return batch->grids == grids; });
  if (known != batches_.end()) {
    std::rotate(batches_.begin(), known, known + 1);
    return batches_.front().get();
  }
  auto plan = PlanBatch(config_, grids, accelerator_->device());
  if (!plan.ok()) return plan.status();
  if (batches_.size() == kBatchesKept) {
    const auto oldest = std::find_if(batches_.rbegin(), batches_.rend(),
                                     [](const auto& batch) { return batch->recording == nullptr; });
    batches_.erase(std::next(oldest).base());
  }
  auto batch = std::make_unique<Batch>();
  batch->grids = std::move(grids);
  batch->plan = *std::move(plan);
  for (const int64_t tokens : batch->plan.tokens_per_image) {
    batch->patches += tokens * config_.merge_unit();
  }
  batches_.insert(batches_.begin(), std::move(batch));
  return batches_.front().get();
}

absl::Status ForwardRunner::Stage(std::span<const Patches* const> images, const Batch& batch) {
  const int64_t width = config_.patch_values();
  for (size_t i = 0; i < images.size(); ++i) {
    const int64_t patches = batch.plan.tokens_per_image[i] * config_.merge_unit();
    if (std::cmp_equal(images[i]->rows.size(), patches * width)) continue;
    return FieldError(fmt::format("images/{}", i),
                      fmt::format("has {} values; {} patches of {} are expected",
                                  images[i]->rows.size(), patches, width));
  }
  Grow(staging_, batch.patches, width, *accelerator_);
  auto* out = staging_.data_ptr<float>();
  for (const Patches* image : images) {
    std::memcpy(out, image->rows.data(), image->rows.size() * sizeof(float));
    out += image->rows.size();
  }
  return absl::OkStatus();
}

at::Tensor ForwardRunner::Forward(const Batch& batch, const at::Tensor& rows) const {
  return PoolTokens(batch.plan, ForwardTower(config_, weights_, batch.plan, rows));
}

// The vectors on the device, where they may not be ready yet.
at::Tensor ForwardRunner::Compute(Batch& batch) {
  const at::Tensor staged = staging_.narrow(0, 0, batch.patches);
  if (batch.recording == nullptr) {
    return Forward(batch, staged.to(accelerator_->device(), at::kFloat, /*non_blocking=*/true));
  }
  batch.rows.copy_(staged, /*non_blocking=*/true);
  batch.recording->Replay();
  return batch.pooled;
}

bool ForwardRunner::ToBeRecorded(const Batch& batch) const {
  return records_ && batch.recording == nullptr && batch.grids.size() <= kLargestRecorded &&
         std::all_of(batch.grids.begin(), batch.grids.end(),
                     [&](const Grid& grid) { return grid == *face_; });
}

void ForwardRunner::Record(Batch& batch, const Vectors& expected) {
  const auto images = static_cast<int64_t>(batch.grids.size());
  const auto on_device = at::dtype(at::kFloat).device(accelerator_->device());
  const absl::Status recorded = Guarded("recording a batch", [&]() -> absl::Status {
    batch.rows = at::zeros({batch.patches, config_.patch_values()}, on_device);
    batch.pooled = at::empty({images, config_.out_hidden_size}, on_device);
    batch.recording = accelerator_->Record([&] { batch.pooled.copy_(Forward(batch, batch.rows)); });
    if (batch.recording == nullptr || AreClose(Fetch(Compute(batch)), expected)) {
      return absl::OkStatus();
    }
    return absl::InternalError("a recorded batch gave other values than the computed one");
  });
  if (recorded.ok() && batch.recording != nullptr) return;
  batch.recording = nullptr;
  batch.rows = at::Tensor();
  batch.pooled = at::Tensor();
  records_ = false;
  if (!recorded.ok() && warn_) {
    warn_(fmt::format("no batches are recorded from now on: {}",
                      std::string_view(recorded.message().data(), recorded.message().size())));
  }
}

ForwardRunner::Vectors ForwardRunner::Fetch(const at::Tensor& pooled) {
  const int64_t images = pooled.size(0);
  const int64_t dim = pooled.size(1);
  Grow(results_, images, dim, *accelerator_);
  const at::Tensor results = results_.narrow(0, 0, images);
  results.copy_(pooled, /*non_blocking=*/true);
  accelerator_->Wait();
  Vectors vectors;
  for (int64_t i = 0; i < images; ++i) {
    const float* values = results.data_ptr<float>() + i * dim;
    vectors.emplace_back(values, values + dim);
  }
  return vectors;
}

// Recordings hold memory of their own; those that are needed come back with the next batches.
void ForwardRunner::MakeRoom() {
  batches_.clear();
  Guarded("freeing memory", [&] {
    accelerator_->OnStream([&] { accelerator_->FreeCached(); });
    return absl::OkStatus();
  }).IgnoreError();
}

}  // namespace emotion::vision

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <thread>

#include <omp.h>

#include "common/numeric/half.h"
#include "common/sync/mutex.h"
#include "vision/encoder/onednn/tower.h"
#include "vision/encoder/onednn/tower_jobs.h"
#include "vision/encoder/onednn/turn.h"

namespace emotion::vision {
namespace {

size_t ValuesOf(const TensorView& view) {
  return view.bytes.size() / static_cast<size_t>(DTypeBytes(view.dtype));
}

void ConvertToFloat(const TensorView& view, float* out) {
  const std::byte* from = view.bytes.data();  // may be unaligned
  if (view.dtype == DType::kF32) {
    std::memcpy(out, from, view.bytes.size());
    return;
  }
  const size_t count = ValuesOf(view);
  for (size_t i = 0; i < count; ++i) {
    uint16_t stored = 0;
    std::memcpy(&stored, from + 2 * i, 2);
    out[i] = view.dtype == DType::kF16 ? HalfToFloat(stored)
                                       : std::bit_cast<float>(uint32_t{stored} << 16);
  }
}

// A matrix of the checkpoint on its way to be packed; room for the sizes that it is packed in.
struct Matrix {
  size_t rows = 0;
  size_t width = 0;
  AlignedBuffer memory;     // not on the heap, which would keep it
  std::vector<float> bias;  // empty: none

  std::span<float> weight() { return {memory.as<float>(), rows * width}; }
};

void ApplyFit(const Fit& fit, std::span<const float> norm, Matrix& matrix) {
  const std::span<float> weight = matrix.weight();
  const size_t width = matrix.width;
  for (size_t i = 0; i < weight.size() && !norm.empty(); i += norm.size()) {
    for (size_t k = 0; k < norm.size(); ++k) weight[i + k] *= norm[k];
  }
  if (fit.turn_in > 0) TurnRows(weight, fit.turn_in);
  if (fit.turn_out == 0) return;
  const auto group = static_cast<size_t>(fit.turn_out);
  for (auto row = static_cast<size_t>(fit.turned_from); row < matrix.rows; row += group) {
    TurnColumns(weight.subspan(row * width, group * width), fit.turn_out);
    if (!matrix.bias.empty()) Turn(std::span(matrix.bias).subspan(row, group));
  }
}

// To the sizes of `spec`, with zeros; from the back, since rows only move further.
void Pad(const LinearSpec& spec, Matrix& matrix) {
  const auto wide = static_cast<size_t>(spec.in);
  float* const weight = matrix.memory.as<float>();
  for (size_t row = matrix.rows; row-- > 0 && wide > matrix.width;) {
    std::memmove(weight + row * wide, weight + row * matrix.width, matrix.width * sizeof(float));
    std::fill_n(weight + row * wide + matrix.width, wide - matrix.width, 0.0F);
  }
  const auto out = static_cast<size_t>(spec.out);
  std::fill(weight + matrix.rows * wide, weight + out * wide, 0.0F);
  if (!matrix.bias.empty()) matrix.bias.resize(out);
}

// What the threads of one packing share.
class Packing {
 public:
  Packing(const Checkpoint& checkpoint, const std::function<void(double)>& progress)
      : checkpoint_(checkpoint), progress_(progress) {
    for (const auto& [name, view] : checkpoint.tensors()) {
      total_ += view.bytes.size();
      digests_[name];  // made here, so that threads only fill them in
    }
  }

  // Runs jobs until none is left or one failed. On each of the threads.
  void Work(const std::vector<PackJob>& jobs) {
    omp_set_num_threads(1);  // there are as many of us as cores already
    for (size_t i = next_++; i < jobs.size() && !failed_; i = next_++) {
      const PackJob& job = jobs[i];
      if (job.vector != nullptr) {
        *job.vector = Values(job.name);
        if (job.ones) std::ranges::fill(*job.vector, 1.0F);
        Count(job.name);
      } else {
        Pack(job);
      }
    }
  }

  void Fail(const absl::Status& status) {
    failed_ = true;
    const MutexLock lock(mutex_);
    if (status_.ok()) status_ = status;
  }

  absl::Status status() {
    const MutexLock lock(mutex_);
    return status_;
  }
  TensorDigests TakeDigests() { return std::move(digests_); }

 private:
  void Pack(const PackJob& job) {
    Matrix matrix = ReadMatrix(job);
    std::vector<float> norm;
    if (!job.fit.norm.empty()) norm = Values(job.fit.norm);
    ApplyFit(job.fit, norm, matrix);
    Pad(job.spec, matrix);
    auto packed = PackedLinear::Pack(job.spec, matrix.memory.as<float>(),
                                     job.bias ? matrix.bias.data() : nullptr);
    if (!packed.ok()) return Fail(packed.status());
    *job.linear = *std::move(packed);
  }

  Matrix ReadMatrix(const PackJob& job) {
    const std::string name = job.name + ".weight";
    const TensorView& view = checkpoint_.tensor(name);
    Matrix matrix;
    matrix.rows = static_cast<size_t>(view.shape.front());
    matrix.width = ValuesOf(view) / matrix.rows;
    const size_t packed = static_cast<size_t>(job.spec.out) * static_cast<size_t>(job.spec.in);
    matrix.memory = AlignedBuffer(std::max(packed, ValuesOf(view)) * sizeof(float));
    ConvertToFloat(view, matrix.memory.as<float>());
    Count(name);
    if (job.bias) {
      matrix.bias = Values(job.name + ".bias");
      Count(job.name + ".bias");
    }
    return matrix;
  }

  std::vector<float> Values(const std::string& name) const {
    const TensorView& view = checkpoint_.tensor(name);
    std::vector<float> values(ValuesOf(view));
    ConvertToFloat(view, values.data());
    return values;
  }

  // What is to be done once with each tensor, while its pages are at hand.
  void Count(const std::string& name) {
    const TensorView& view = checkpoint_.tensor(name);
    digests_.at(name) = DigestOf(view);
    checkpoint_.Release(name);
    if (!progress_) return;
    const MutexLock lock(mutex_);
    done_ += view.bytes.size();
    progress_(static_cast<double>(done_) / static_cast<double>(total_));
  }

  const Checkpoint& checkpoint_;
  const std::function<void(double)>& progress_;
  TensorDigests digests_;  // each entry is one thread's
  size_t total_ = 0;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  Mutex mutex_;
  size_t done_ GUARDED_BY(mutex_) = 0;
  absl::Status status_ GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<PackedModel> PackTower(const VisionConfig& config, const Checkpoint& checkpoint,
                                      const TowerFormat& format, int threads,
                                      const std::function<void(double)>& progress) {
  PackedModel model;
  const std::vector<PackJob> jobs = ListPackJobs(config, format, model.tower);
  Packing packing(checkpoint, progress);
  const auto work = [&] {
    try {
      packing.Work(jobs);
    } catch (const std::bad_alloc&) {
      packing.Fail(absl::ResourceExhaustedError("out of memory for the encoder's weights"));
    }
  };
  {
    std::vector<std::jthread> helpers;
    helpers.reserve(static_cast<size_t>(threads));
    for (int i = 0; i < threads; ++i) helpers.emplace_back(work);
  }
  if (absl::Status status = packing.status(); !status.ok()) return status;
  model.digests = packing.TakeDigests();
  return model;
}

}  // namespace emotion::vision

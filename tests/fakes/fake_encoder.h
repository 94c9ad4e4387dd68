// An encoder without a model: its vector depends on every value of the image's patches and on their
// order, so an answer that went to the wrong frame is caught by comparing it. Faults are injected.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::testing {

inline constexpr int kFakeDim = 16;

// The vector of `patches`; within +-4 for normalised pixels.
inline std::vector<float> FakeEmbedding(const vision::Patches& patches) {
  std::vector<float> vector(kFakeDim, 0.0F);
  const size_t n = std::max<size_t>(patches.rows.size(), 1);
  for (size_t i = 0; i < patches.rows.size(); ++i) {
    const auto weight = static_cast<float>(i % 251 + 1) / 251;
    vector[i % kFakeDim] += patches.rows[i] * weight * kFakeDim / static_cast<float>(n) * 2;
  }
  return vector;
}

// Holds whoever passes until it is opened. Starts open.
class Gate {
 public:
  void Close() {
    const MutexLock lock(mutex_);
    open_ = false;
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }
  void Pass() {
    const MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
    --waiting_;
  }
  // Blocks until somebody waits at the closed gate.
  void AwaitVisitor() {
    const MutexLock lock(mutex_);
    while (waiting_ == 0) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ = true;
  int waiting_ = 0;
};

// What a test says to encoders and learns of them; outlives them. Safe from any thread.
struct FakeEncoderControl {
  Gate gate;                      // every encode passes it
  std::atomic<int> encode_ms{0};  // how long an encode takes at least
  std::atomic<int> encodes{0};
  std::atomic<int> images{0};
  std::atomic<int> throws{0};    // so many encodes throw
  std::atomic<int> failures{0};  // so many encodes return INTERNAL
  std::atomic<size_t> memory_frames{std::numeric_limits<size_t>::max()};  // larger: out of memory
  std::atomic<int64_t> memory_patches{std::numeric_limits<int64_t>::max()};  // as memory_frames
  std::atomic<bool> nan_of_dark{false};  // images whose first value is below -1 give NaN
  std::atomic<float> scale{1};           // of every vector: 1e30 leaves fp16's range
  std::atomic<bool> one_vector_less{false};

  std::vector<size_t> batches() {
    const MutexLock lock(mutex);
    return batch_sizes;
  }

  Mutex mutex;
  std::vector<size_t> batch_sizes GUARDED_BY(mutex);
};

class FakeEncoder final : public vision::VisionEncoder {
 public:
  explicit FakeEncoder(FakeEncoderControl& control,
                       vision::Precision precision = vision::Precision::kFp32)
      : control_(control) {
    info_.name = "fake";
    info_.fingerprint.fill(0xfa);
    info_.dim = kFakeDim;
    info_.patch_values = 1176;
    info_.precision = precision;
    info_.device = "cpu: fake";
    info_.demo = true;
    info_.licence = "none";
  }

  const vision::EncoderInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const vision::Patches* const> images) override {
    ++control_.encodes;
    control_.gate.Pass();
    std::this_thread::sleep_for(std::chrono::milliseconds(control_.encode_ms));
    {
      const MutexLock lock(control_.mutex);
      control_.batch_sizes.push_back(images.size());
    }
    if (TakeOne(control_.throws)) throw std::runtime_error("device lost");
    if (TakeOne(control_.failures)) return absl::InternalError("kernel failed");
    int64_t patches = 0;
    for (const vision::Patches* image : images) patches += image->grid.patches();
    if (images.size() > control_.memory_frames || patches > control_.memory_patches) {
      return absl::ResourceExhaustedError("out of memory");
    }
    std::vector<std::vector<float>> vectors;
    for (const vision::Patches* image : images) vectors.push_back(Vector(*image));
    if (control_.one_vector_less) vectors.pop_back();
    control_.images += static_cast<int>(images.size());
    return vectors;
  }

 private:
  static bool TakeOne(std::atomic<int>& count) {
    int left = count.load();
    while (left > 0 && !count.compare_exchange_weak(left, left - 1)) {
    }
    return left > 0;
  }

  std::vector<float> Vector(const vision::Patches& image) const {
    std::vector<float> vector = FakeEmbedding(image);
    for (float& value : vector) value *= control_.scale;
    const bool half = info_.precision != vision::Precision::kFp32;
    if (half && control_.nan_of_dark && !image.rows.empty() && image.rows.front() < -1) {
      vector[3] = std::numeric_limits<float>::quiet_NaN();
    }
    return vector;
  }

  FakeEncoderControl& control_;
  vision::EncoderInfo info_;
};

}  // namespace emotion::testing

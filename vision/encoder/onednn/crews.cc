#include "vision/encoder/onednn/crews.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "common/sync/long_slice.h"
#include "common/sync/mutex.h"

namespace emotion::vision {

// What computes one image, or one batch, at a time: a thread with an OpenMP team.
class Crews::Crew {
 public:
  Crew(const VisionConfig& config, const PackedTower& weights)
      : config_(config), pass_(config, weights) {}

  absl::StatusOr<Embeddings> Encode(std::span<const Patches* const> images, int threads) {
    std::vector<Grid> grids;
    for (const Patches* image : images) grids.push_back(image->grid);
    if (grids != plan_.grids) {
      auto plan = PlanTower(config_, grids);
      if (!plan.ok()) return plan.status();
      plan_ = *std::move(plan);
    }
    TakeLongSlices();  // before the team is started: what answers from a cache must not wait for us
    const auto tokens = pass_.Run(plan_, images, threads);
    if (!tokens.ok()) return tokens.status();
    return Pool(*tokens);
  }

 private:
  // The mean of each image's tokens, summed in double: an image may have thousands.
  Embeddings Pool(std::span<const float> tokens) const {
    const auto dim = static_cast<size_t>(config_.out_hidden_size);
    Embeddings embeddings;
    std::vector<double> sums;
    const float* token = tokens.data();
    for (const int64_t count : plan_.layout.tokens_per_image) {
      sums.assign(dim, 0);
      for (int64_t i = 0; i < count; ++i, token += dim) {
        for (size_t d = 0; d < dim; ++d) sums[d] += token[d];
      }
      std::vector<float>& embedding = embeddings.emplace_back(dim);
      for (size_t d = 0; d < dim; ++d) {
        embedding[d] = static_cast<float>(sums[d] / static_cast<double>(count));
      }
    }
    return embeddings;
  }

  const VisionConfig& config_;
  TowerPass pass_;
  TowerPlan plan_;  // of the last batch: most are alike
};

// Images while crews take them.
class Crews::Batch {
 public:
  // `embeddings` has an entry for each image.
  Batch(std::span<const Patches* const> images, std::span<std::vector<float>> embeddings)
      : images_(images), embeddings_(embeddings) {}

  void Work(Crew& crew, int threads) {
    for (size_t i = next_++; i < images_.size(); i = next_++) {
      absl::Status status = EncodeOne(crew, threads, i);
      if (status.ok()) continue;
      const MutexLock lock(mutex_);
      if (status_.ok()) status_ = std::move(status);
      return;
    }
  }

  void Help(Crew& crew, int threads) {
    Work(crew, threads);
    const MutexLock lock(mutex_);
    ++helped_;
    changed_.NotifyOne();
  }

  void AwaitHelpers(size_t helpers) {
    const MutexLock lock(mutex_);
    while (helped_ < helpers) changed_.Wait(mutex_);
  }

  absl::Status status() {
    const MutexLock lock(mutex_);
    return status_;
  }

 private:
  absl::Status EncodeOne(Crew& crew, int threads, size_t index) {
    try {
      auto embedding = crew.Encode(images_.subspan(index, 1), threads);
      if (!embedding.ok()) return embedding.status();
      embeddings_[index] = std::move(embedding->front());
      return absl::OkStatus();
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("out of memory for an image of this size");
    }
  }

  const std::span<const Patches* const> images_;
  const std::span<std::vector<float>> embeddings_;  // each entry is one crew's
  std::atomic<size_t> next_ = 0;
  Mutex mutex_;
  CondVar changed_;
  size_t helped_ GUARDED_BY(mutex_) = 0;
  absl::Status status_ GUARDED_BY(mutex_);
};

Crews::Crews(const VisionConfig& config, const PackedTower& weights, int threads)
    : config_(config), weights_(weights), threads_(static_cast<size_t>(std::max(threads, 1))) {}

Crews::~Crews() = default;

absl::StatusOr<Embeddings> Crews::Encode(std::span<const Patches* const> images) {
  Embeddings embeddings;
  const size_t even = images.size() / threads_ * threads_;
  absl::Status status = EncodeApart(images.first(even), embeddings);
  if (status.ok()) status = EncodeApart(images.subspan(even), embeddings);
  if (!status.ok()) return status;
  return embeddings;
}

// Appends the embeddings of `images`, of which each crew computes as many.
absl::Status Crews::EncodeApart(std::span<const Patches* const> images, Embeddings& embeddings) {
  if (images.empty()) return absl::OkStatus();
  const size_t crews = std::min(images.size(), threads_);
  while (crews_.size() < crews) {
    crews_.push_back(std::make_unique<Crew>(config_, weights_));
  }
  if (workers_ == nullptr && crews > 1) {
    workers_ = std::make_unique<WorkerPool>(threads_ - 1, threads_);
  }
  const size_t first = embeddings.size();
  embeddings.resize(first + images.size());
  Batch batch(images, std::span(embeddings).subspan(first));
  const int team = static_cast<int>(threads_ / crews);
  size_t helpers = 0;
  for (size_t i = 1; i < crews; ++i) {
    Crew& crew = *crews_[i];
    helpers += workers_->Submit([&batch, &crew, team] { batch.Help(crew, team); }) ? 1 : 0;
  }
  batch.Work(*crews_[0], team);
  batch.AwaitHelpers(helpers);
  return batch.status();
}

}  // namespace emotion::vision

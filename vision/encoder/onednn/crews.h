// A batch of images on all cores.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sync/worker_pool.h"
#include "vision/encoder/onednn/tower.h"

namespace emotion::vision {

using Embeddings = std::vector<std::vector<float>>;

// Images share nothing but weights, so a batch is cut into images and not into pieces of products:
// crews, each a thread with a team of its own, take one image after another. They wait for each
// other once in a batch instead of two hundred times; that is faster on quiet cores, and on busy
// ones a crew that is held up takes fewer. What is left when the images do not go evenly into the
// threads is computed by fewer crews with larger teams; a single image by all threads together.
//
// One batch at a time. The threads sleep in between.
class Crews {
 public:
  // Borrows config and weights.
  Crews(const VisionConfig& config, const PackedTower& weights, int threads);
  ~Crews();

  // One embedding per image, in order: the mean of its tokens. REQUIRES: the rows fit the grids.
  // Errors: RESOURCE_EXHAUSTED, INTERNAL, INVALID_ARGUMENT for a grid.
  absl::StatusOr<Embeddings> Encode(std::span<const Patches* const> images);

 private:
  class Crew;
  class Batch;

  absl::Status EncodeApart(std::span<const Patches* const> images, Embeddings& embeddings);

  const VisionConfig& config_;
  const PackedTower& weights_;
  const size_t threads_;
  std::vector<std::unique_ptr<Crew>> crews_;  // made when first needed
  std::unique_ptr<WorkerPool> workers_;       // last: its threads use the crews
};

}  // namespace emotion::vision

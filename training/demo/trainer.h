// End-to-end training of the demo's network on faces that are drawn as they are needed.
//
// Each step draws `batch` new faces, cut into `shards` parts that are drawn, computed and
// differentiated on a thread each (with LibTorch on one thread per shard: whole faces divide
// better than matrix products of this size). Gradients are added in the order of the shards, so a
// run is the same however the threads take turns. AdamW, warm-up, then a cosine to a hundredth.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "training/demo/demo_network.h"
#include "vision/preprocess/patchify.h"

namespace emotion::training {

struct TrainOptions {
  uint64_t seed = 1;
  int steps = 2800;
  size_t batch = 64;  // faces of a step; a multiple of shards
  size_t shards = 2;  // part of the recipe, like the seed: another number is another model
  double learning_rate = 2e-3;
  double weight_decay = 0.05;  // of matrices; norms and biases have none
  double aid_weight = 4;
  // A machine too slow for all steps in this time anneals earlier and ends in time. The result is
  // then no longer the same from run to run. 0: no limit.
  std::chrono::seconds time_limit{0};
};

struct TrainProgress {
  int step = 0;          // done
  double loss = 0;       // mean since the last call
  double done = 0;       // 0 to 1, by steps or by time, whichever is further
  bool hurried = false;  // the time limit has begun to shorten the run
};

// Changes `network`. Calls `progress` every 50 steps and after the last. Throws what LibTorch
// throws.
void Train(DemoNetwork& network, const TrainOptions& options, const vision::Patchifier& patchifier,
           const std::function<void(const TrainProgress&)>& progress);

}  // namespace emotion::training

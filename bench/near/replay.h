// What a cache would have answered each frame of a sequence with. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace emotion::bench {

// For each frame the one whose embedding answered it: itself where it was encoded.
using AnsweredBy = std::vector<size_t>;

struct NearPolicy {
  float threshold = 0.95F;
  double lifetime_s = 20;  // of an encode
  size_t candidates = 4;   // encodes remembered
  // An encode that a frame sooner after it is unlike is remembered no more. 0: none is.
  double fleeting_s = 0;
};

// The similarity of two frames, by number.
using SimilarityOf = std::function<float(size_t, size_t)>;

// The most alike of the encodes remembered answers, if it is alike enough; else the frame is
// encoded and remembered, in place of the oldest.
AnsweredBy ReplayNear(size_t frames, double period_s, const NearPolicy& policy,
                      const SimilarityOf& similarity);

// The trivial rival: whatever is seen, encodes are spread evenly so that `hit_rate` of the frames
// are answered by the encode before them. 0: all are encoded.
AnsweredBy ReplayHold(size_t frames, double hit_rate);

}  // namespace emotion::bench

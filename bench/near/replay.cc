#include "bench/near/replay.h"

#include <cmath>
#include <deque>

namespace emotion::bench {

AnsweredBy ReplayNear(size_t frames, double period_s, const NearPolicy& policy,
                      const SimilarityOf& similarity) {
  AnsweredBy answered;
  std::deque<size_t> remembered;
  for (size_t frame = 0; frame < frames; ++frame) {
    size_t answer = frame;
    float best = policy.threshold;
    std::erase_if(remembered, [&](size_t encoded) {
      const double age_s = period_s * static_cast<double>(frame - encoded);
      if (age_s >= policy.lifetime_s) return false;
      const float alike = similarity(frame, encoded);
      if (alike >= best) {
        best = alike;
        answer = encoded;
      }
      return alike < policy.threshold && age_s < policy.fleeting_s;
    });
    answered.push_back(answer);
    if (answer != frame) continue;
    remembered.push_back(frame);
    if (remembered.size() > policy.candidates) remembered.pop_front();
  }
  return answered;
}

AnsweredBy ReplayHold(size_t frames, double hit_rate) {
  AnsweredBy answered;
  const double encodes_per_frame = 1 - hit_rate;
  size_t last = 0;
  for (size_t frame = 0; frame < frames; ++frame) {
    const auto place = static_cast<double>(frame);
    // The first frame, and each at which one more encode is due.
    const bool due = frame == 0 || std::floor((place + 1) * encodes_per_frame) >
                                       std::floor(place * encodes_per_frame);
    if (due) last = frame;
    answered.push_back(last);
  }
  return answered;
}

}  // namespace emotion::bench

#include "bench/near/evaluation.h"

#include <cmath>

namespace emotion::bench {

Score Evaluation::Near(size_t rule, const NearPolicy& policy) const {
  Score score;
  for (const Recording& recording : recordings_) {
    const auto& described = recording.described[rule];
    const auto similarity = [&](size_t a, size_t b) {
      return rules_[rule].similarity(described[a], described[b]);
    };
    score += ScoreOf(ReplayNear(described.size(), recording.period_s, policy, similarity),
                     recording.told);
  }
  return score;
}

Score Evaluation::NearAtHitRate(size_t rule, NearPolicy policy, double hit_rate) const {
  float low = 0, high = 1;  // the higher the threshold the fewer hits
  Score best;
  double best_distance = 2;
  for (int step = 0; step < 16; ++step) {
    policy.threshold = (low + high) / 2;
    const Score score = Near(rule, policy);
    const double distance = std::abs(score.hit_rate() - hit_rate);
    if (distance < best_distance) {
      best_distance = distance;
      best = score;
    }
    (score.hit_rate() > hit_rate ? low : high) = policy.threshold;
  }
  return best;
}

Score Evaluation::Hold(double hit_rate) const {
  Score score;
  for (const Recording& recording : recordings_) {
    score += ScoreOf(ReplayHold(recording.told.tellings.size(), hit_rate), recording.told);
  }
  return score;
}

FlipsBySureness Evaluation::NoiseFlips() const {
  FlipsBySureness flips;
  for (const Recording& recording : recordings_) flips += FlipsOf(recording.once, recording.again);
  return flips;
}

}  // namespace emotion::bench

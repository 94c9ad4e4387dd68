// Answers recordings with a rule, or by holding the last answer, and scores it. Pure.
#pragma once

#include <span>
#include <vector>

#include "bench/near/recording.h"
#include "bench/near/replay.h"
#include "bench/near/rules.h"
#include "bench/near/score.h"

namespace emotion::bench {

// Borrows rules and recordings, which were described by these rules.
class Evaluation {
 public:
  Evaluation(std::span<const NearRule> rules, std::span<const Recording> recordings)
      : rules_(rules), recordings_(recordings) {}

  // With the rule of this index.
  Score Near(size_t rule, const NearPolicy& policy) const;

  // The same with the threshold at which the rule comes nearest to `hit_rate`, which needs not be
  // near: a rule of few values has few rates.
  Score NearAtHitRate(size_t rule, NearPolicy policy, double hit_rate) const;

  Score Hold(double hit_rate) const;

  // Of two photographs of one moment.
  FlipsBySureness NoiseFlips() const;

 private:
  std::span<const NearRule> rules_;
  std::span<const Recording> recordings_;
};

}  // namespace emotion::bench

// How far an encoder's embeddings are from the fp32 encoder's, and what it does to the levels.
#pragma once

#include <array>
#include <cstddef>

#include "bench/accuracy/logits.h"

namespace emotion::bench {

struct Comparison {
  double least_cosine = 1;  // of a face's embeddings
  double mean_cosine = 1;
  // The same after the mean of the fp32 embeddings was taken from both: what tells faces apart.
  double least_centred = 1;
  double mean_centred = 1;
  double largest_logit_error = 0;
  double logit_spread = 0;  // the standard deviation of the fp32 logits
  size_t decisions = 0;     // faces x states
  size_t clear = 0;         // of those: where the best fp32 logit leads by `margin` or more
  size_t flips = 0;         // decisions with another level than in fp32
  size_t clear_flips = 0;   // clear ones among them
  double margin = 0;        // in logits
};

// `margin` in spreads of the logits. REQUIRES: as many embeddings of each, at least one.
Comparison Compare(const Vectors& fp32, const Vectors& other, const Heads& heads, double margin);

// How often each level is the most probable: [state][level].
using LevelCounts = std::array<std::array<size_t, kLevelCount>, kStateCount>;
LevelCounts CountLevels(const Vectors& embeddings, const Heads& heads);

}  // namespace emotion::bench

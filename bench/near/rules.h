// The rules that are compared: ours, those that one would try first, and two that cheat. Pure.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bench/near/score.h"
#include "vision/preprocess/image.h"

namespace emotion::bench {

// A frame, and what a cache could only know of it by encoding it.
struct Sight {
  const vision::RgbImage& image;
  std::span<const float> embedding;
  const Telling& telling;
};

struct NearRule {
  std::string name;
  std::function<std::vector<float>(const Sight&)> describe;
  // Of two descriptions; 1 for equal ones, less the less alike they are.
  std::function<float(std::span<const float>, std::span<const float>)> similarity;
};

// The first is the one that the embedding service uses (its name is kNearRule). The others:
//   mean difference  of a small map of luma, brought to one mean: a change counts by its area
//   dHash            64 signs of horizontal slopes, compared by Hamming distance
//   SSIM             mean structural similarity of luma in windows of 8 x 8 pixels
std::vector<NearRule> RulesToCompare();

// Rules that look at what only an encode tells, so that no rule of pictures need hope for more:
//   knows the embedding    cosine of the frames' embeddings
//   knows the answer       1 - the largest change of any probability of any level
std::vector<NearRule> Oracles();

}  // namespace emotion::bench

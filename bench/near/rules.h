// The rules that are compared: ours, and those that one would try first. Pure.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "vision/preprocess/image.h"

namespace emotion::bench {

struct NearRule {
  std::string name;
  std::function<std::vector<float>(const vision::RgbImage&)> describe;
  // Of two descriptions; 1 for equal ones, less the less alike they are.
  std::function<float(std::span<const float>, std::span<const float>)> similarity;
};

// The first is the one that the embedding service uses (its name is kNearRule). The others:
//   mean difference  of a small map of luma, brought to one mean: a change counts by its area
//   dHash            64 signs of horizontal slopes, compared by Hamming distance
//   SSIM             mean structural similarity of luma in windows of 8 x 8 pixels
std::vector<NearRule> RulesToCompare();

}  // namespace emotion::bench

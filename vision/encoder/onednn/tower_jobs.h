// The weights of a tower as a list of things to pack: which tensor, in what format, changed how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vision/encoder/model_config.h"
#include "vision/encoder/onednn/tower.h"

namespace emotion::vision {

// How a matrix [out, in] and its bias are changed so that the tower around it may be turned. In
// this order; 0 and "": not at all.
struct Fit {
  std::string norm = {};    // the vector that multiplies the columns, again and again
  int64_t turn_in = 0;      // every so many columns are turned
  int64_t turn_out = 0;     // every so many rows, and of the bias
  int64_t turned_from = 0;  // the first row of those
};

// A vector to copy, or weight and bias to pack. Sizes beyond the file's are filled with zeros.
struct PackJob {
  std::string name;  // of the tensor, without ".weight" for a matrix
  std::vector<float>* vector = nullptr;
  bool ones = false;  // the vector went into matrices: what is left of it is ones
  PackedLinear* linear = nullptr;
  LinearSpec spec = {};
  bool bias = true;
  Fit fit = {};
};

// Sizes `tower` and lists what fills it. The largest first: threads that take one after another
// then end together.
std::vector<PackJob> ListPackJobs(const VisionConfig& config, const TowerFormat& format,
                                  PackedTower& tower);

}  // namespace emotion::vision

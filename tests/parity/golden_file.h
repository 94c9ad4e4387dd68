// Reads tests/data/parity/encoder/goldens.{json,bin}, and makes the inputs that belong to them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vision/encoder/model_config.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

using Values = std::span<const float>;

struct GoldenCase {
  std::string name;
  std::vector<Grid> grids;
  std::string checkpoint;  // folder beside the goldens; empty: weights by recipe for `config`
  VisionConfig config;     // without a checkpoint

  std::vector<Values>
      layers;  // before block 0, then after each block: all values, or those at picks
  std::vector<int64_t> picks;  // empty: all
  std::vector<double> rms;     // of each whole layer; only with picks
  Values tokens;               // empty with picks
  Values pooled;
};

class GoldenFile {
 public:
  // Throws when the files are not there: without them there is no test.
  explicit GoldenFile(const std::string& directory);

  const std::vector<GoldenCase>& cases() const { return cases_; }
  const GoldenCase& Find(const std::string& name) const;

 private:
  std::vector<float> values_;
  std::vector<GoldenCase> cases_;
};

// The images of a case: rows by recipe, cut at the grids.
std::vector<Patches> MakeInput(const GoldenCase& golden, const VisionConfig& config);

}  // namespace emotion::vision

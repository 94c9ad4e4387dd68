// A small tower of random weights on disk, and images for it.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/vision/temporary_directory.h"
#include "vision/encoder/onednn/onednn_encoder.h"
#include "vision/encoder/random_checkpoint.h"
#include "vision/encoder/random_weights.h"

namespace emotion::vision {

class TinyModel {
 public:
  explicit TinyModel(VisionConfig config = SizeConfig(ModelSize::kTiny), bool outliers = false)
      : config_(std::move(config)) {
    REQUIRE(WriteRandomCheckpoint(
                {.directory = path(), .config = config_, .outliers = outliers, .progress = {}})
                .ok());
  }

  std::unique_ptr<VisionEncoder> Encoder(int threads = 1, Precision precision = Precision::kFp32,
                                         bool emulate_bf16 = false) const {
    auto encoder = CreateOneDnnEncoder({.directory = path(),
                                        .precision = precision,
                                        .threads = threads,
                                        .emulate_bf16 = emulate_bf16});
    INFO(encoder.status().ToString());
    REQUIRE(encoder.ok());
    return *std::move(encoder);
  }

  std::string path() const { return directory_ / "m"; }

  Patches Image(const Grid& grid, const char* name) const {
    const int64_t count = int64_t{grid.patches()} * config_.patch_values();
    Patches image{grid, std::vector<float>(static_cast<size_t>(count))};
    FillRandomWeights(name, {count, 1}, 0, 0, image.rows);
    return image;
  }

 private:
  TemporaryDirectory directory_;
  VisionConfig config_;
};

inline double CosineOf(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace emotion::vision

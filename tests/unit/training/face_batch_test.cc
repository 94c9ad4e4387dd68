#include "training/demo/face_batch.h"

#include <cstdlib>
#include <set>

#include <catch2/catch.hpp>

#include "training/demo/face_drawer.h"

namespace emotion::training {
namespace {

const vision::Patchifier& Patchify() {
  static const vision::Patchifier patchifier{vision::PreprocessorConfig{}};
  return patchifier;
}

TEST_CASE("no face of one split, or of one run, occurs in another") {
  std::set<uint64_t> seeds;
  for (uint64_t run : {1, 2}) {
    for (Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kSelfTest}) {
      for (uint64_t index = 0; index < 5000; ++index) seeds.insert(FaceSeed(run, split, index));
    }
  }
  CHECK(seeds.size() == 2u * 4u * 5000u);
}

TEST_CASE("a batch holds the faces in order, 64 patches of 1176 values each") {
  const FaceBatch batch = DrawSplit(1, Split::kTrain, 7, 3, Patchify());
  REQUIRE(batch.faces == 3);
  REQUIRE(batch.rows.size() == 3u * 64u * 1176u);
  const SampledFace second = SampleFace(FaceSeed(1, Split::kTrain, 8));
  CHECK(batch.levels[1] == second.levels);
  CHECK(batch.cues[1] == CuesOf(second));
  const auto patches = Patchify().Still(PhotographFace(second.parameters));
  REQUIRE(patches.ok());
  CHECK(std::vector<float>(batch.rows.begin() + 64 * 1176, batch.rows.begin() + 2 * 64 * 1176) ==
        patches->rows);
}

TEST_CASE("two halves of a batch are the batch") {
  const FaceBatch whole = DrawSplit(3, Split::kTest, 0, 4, Patchify());
  const FaceBatch half = DrawSplit(3, Split::kTest, 2, 2, Patchify());
  CHECK(std::equal(half.rows.begin(), half.rows.end(), whole.rows.begin() + 2 * 64 * 1176));
  CHECK(half.levels[1] == whole.levels[3]);
}

TEST_CASE("a photograph is the drawing after JPEG: close to it, and not the same") {
  FaceParameters face = SampleFace(5).parameters;
  face.scene.noise = 0;
  face.scene.jpeg_quality = 85;
  const vision::RgbImage drawn = DrawFace(face), photographed = PhotographFace(face);
  REQUIRE(photographed.pixels.size() == drawn.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < drawn.pixels.size(); ++i) {
    sum += std::abs(drawn.pixels[i] - photographed.pixels[i]);
  }
  const double mean = sum / static_cast<double>(drawn.pixels.size());
  CHECK(mean > 0.1);
  CHECK(mean < 8);
  face.scene.jpeg_quality = 0;
  CHECK(PhotographFace(face).pixels == drawn.pixels);
}

TEST_CASE("cues are the expression and the scores") {
  SampledFace face = SampleFace(9);
  face.parameters.expression.gaze_x = -0.25;
  face.parameters.expression.head_tilt = 11;
  const Cues cues = CuesOf(face);
  CHECK(cues[1] == -0.25f);
  CHECK(cues[8] == 0.5f);
  CHECK(cues[kCueCount - 1] == static_cast<float>(face.scores[3]));
}

}  // namespace
}  // namespace emotion::training

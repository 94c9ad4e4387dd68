// Drawn faces as a network takes them: patches, levels, and what there is to see.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "training/demo/face_sampler.h"
#include "vision/preprocess/patchify.h"

namespace emotion::training {

// Ten parameters of the expression, then the four scores; all about -1 to 1.
inline constexpr size_t kCueCount = 14;
using Cues = std::array<float, kCueCount>;

Cues CuesOf(const SampledFace& face);

// Faces of one split never occur in another.
enum class Split : uint64_t { kTrain = 1, kValidation = 2, kTest = 3, kSelfTest = 4 };

// The seed of the `index`th face of a split in the run with this seed.
uint64_t FaceSeed(uint64_t run_seed, Split split, uint64_t index);

// Draws the face and passes it through JPEG as its scene says: what a decoder would give.
vision::RgbImage PhotographFace(const FaceParameters& face);

struct FaceBatch {
  size_t faces = 0;
  std::vector<float> rows;     // [faces * 64, 1176], see vision::Patches
  std::vector<Levels> levels;  // [faces]
  std::vector<Cues> cues;      // [faces]
};

FaceBatch DrawBatch(std::span<const uint64_t> face_seeds, const vision::Patchifier& patchifier);

// The same of faces `first` .. `first + count - 1` of a split.
FaceBatch DrawSplit(uint64_t run_seed, Split split, uint64_t first, size_t count,
                    const vision::Patchifier& patchifier);

}  // namespace emotion::training

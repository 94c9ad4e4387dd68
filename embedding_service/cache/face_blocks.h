// The part of a descriptor that is compared, in blocks, and the comparison. Internal to this
// folder.
//
// Only lengths and inner products of vectors of one block are used, so that blocks may be turned by
// any rotation before: that is how sealed descriptors compare.
#pragma once

#include <array>

#include "embedding_service/cache/near_duplicate.h"

namespace emotion::embedding {

inline constexpr int kBlockCells = 16;  // 4 x 4 cells
inline constexpr int kBlockColumns = 5;
inline constexpr int kBlockRows = 6;
inline constexpr int kBlocks = kBlockColumns * kBlockRows;

using BlockVector = std::array<float, kBlockCells>;

struct FaceBlock {
  BlockVector contrast{};
  BlockVector slope_x{};  // change of contrast from cell to cell
  BlockVector slope_y{};
};

using FaceBlocks = std::array<FaceBlock, kBlocks>;  // [kBlockRows, kBlockColumns] row-major

// The middle of the map: where the face is.
FaceBlocks BlocksOf(const FaceDescriptor& descriptor);

// See Similarity in near_duplicate.h.
float SimilarityOf(const FaceBlocks& a, const FaceBlocks& b);

}  // namespace emotion::embedding

// Orthogonal matrices that spread one large value over many, for weights that become bytes.
//
// A tower computes the same when its residual stream is turned by such a matrix R, if what writes
// to the stream is turned and what reads from it is turned back: norms without weights keep
// lengths, and R is its own inverse. Turned, values and weights have no outliers left, so that 8
// bits hold them (QuaRot, arXiv 2404.00456). It costs nothing when the tower runs.
#pragma once

#include <cstdint>
#include <span>

namespace emotion::vision {

// x = R x for one vector of n values. n = odd * 2^k: Hadamard's matrix on blocks of 2^k, then a
// reflection that mixes the blocks. Any n of at least 1; R is symmetric and orthogonal.
void Turn(std::span<float> x);

// The same for every `width` values of `rows`, whose size is a multiple of it.
void TurnRows(std::span<float> rows, int64_t width);

// The same for the columns of a matrix of `rows` rows.
void TurnColumns(std::span<float> matrix, int64_t rows);

// Hadamard's matrix alone on each block of `block` values, a power of two that divides the size.
void TurnBlocks(std::span<float> x, int64_t block);

}  // namespace emotion::vision

// Products with packed weights. Kernels of oneDNN are prepared once for each number of rows.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "common/sync/team.h"
#include "vision/encoder/onednn/packed_linear.h"

namespace emotion::vision {

// x of a product: [rows, in] of the weights' element.
struct ProductInput {
  const void* values = nullptr;   // of kInt8 kByteStep bytes more may be read
  const float* scales = nullptr;  // [rows], of kInt8
};

// What one team computes with; weights may be shared with others, and outlive this. Not for two
// teams at once.
class Products {
 public:
  Products();
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  // y [rows, out] = epilogue(x [rows, in]), row-major; `other`, [rows, out] of y's element,
  // for kMultiply only.
  // Computed by `team`. The first product of a kind prepares its kernels (under a millisecond);
  // later ones allocate nothing, while no more than a few dozen numbers of rows are in use.
  // Errors: RESOURCE_EXHAUSTED without memory, INTERNAL.
  absl::Status Run(const PackedLinear& linear, int64_t rows, Team& team, const ProductInput& x,
                   void* y, const void* other = nullptr);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::vision

// One matrix of weights, packed once in the layout that oneDNN's kernel reads, and products with
// it.
//
// The only place that knows oneDNN, and that it comes in versions 2 and 3.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vision/encoder/onednn/aligned_buffer.h"
#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {

// What happens to x W^T + b before it is stored.
enum class Epilogue {
  kNone,
  kSilu,      // z / (1 + exp(-z))
  kGelu,      // the exact one, with erf
  kMultiply,  // z * other
  kAdd,       // y + z: onto what stands in y
};

struct LinearSpec {
  int64_t in = 0;
  int64_t out = 0;
  Element element = Element::kF32;  // of x, `other` and the packed weights
  Element result = Element::kF32;   // of y
  Epilogue epilogue = Epilogue::kNone;
};

class PackedLinear {
 public:
  PackedLinear();
  PackedLinear(PackedLinear&&) noexcept;
  PackedLinear& operator=(PackedLinear&&) noexcept;
  ~PackedLinear();

  // weight: [out, in] row-major; bias: [out], or null for none. Both are copied. INVALID_ARGUMENT
  // where this CPU cannot compute with `spec.element`, RESOURCE_EXHAUSTED without memory. Packing
  // uses the calling thread's OpenMP team, as products do.
  static absl::StatusOr<PackedLinear> Pack(const LinearSpec& spec, const float* weight,
                                           const float* bias);

  // y [rows, out] = epilogue(x [rows, in]), row-major. `other`, [rows, out], for kMultiply only.
  // The first call with a number of rows prepares a kernel for it (under a millisecond; the last
  // few dozen are kept); later ones allocate nothing. Not for two threads at once.
  absl::Status Run(int64_t rows, const void* x, void* y, const void* other, AlignedBuffer& scratch);

  int64_t packed_bytes() const;
  std::string kernel() const;  // oneDNN's name of it, such as "jit_1x1:avx2"

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The version of oneDNN and the instruction set that it uses, such as "oneDNN 2.6.3 avx2".
std::string OneDnnDescription();

// Whether products in bf16 run in hardware here.
bool HasBf16Products();

}  // namespace emotion::vision

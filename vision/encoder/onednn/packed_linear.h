// One matrix of weights, packed once in the layout that oneDNN's kernels read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
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

// Immutable once packed; products with it are products.h.
class PackedLinear {
 public:
  PackedLinear();  // empty
  PackedLinear(PackedLinear&&) noexcept;
  PackedLinear& operator=(PackedLinear&&) noexcept;
  ~PackedLinear();

  // weight: [out, in] row-major; bias: [out], or null for none. Both are copied. INVALID_ARGUMENT
  // where this CPU cannot compute with `spec.element`, RESOURCE_EXHAUSTED without memory. Uses the
  // calling thread's OpenMP team.
  static absl::StatusOr<PackedLinear> Pack(const LinearSpec& spec, const float* weight,
                                           const float* bias);

  struct Packed;  // linear_desc.h
  const Packed& packed() const { return *packed_; }

 private:
  std::unique_ptr<const Packed> packed_;
};

// The version of oneDNN and the instruction set that it uses, such as "oneDNN 2.6.3 avx2".
std::string OneDnnDescription();

// Whether products in bf16 run in hardware here.
bool HasBf16Products();

}  // namespace emotion::vision

// One matrix of weights, packed once in the layout that kernels read: oneDNN's, where its matmul
// has one of its own, or else our panels (kernels.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {

struct LinearSpec {
  int64_t in = 0;
  int64_t out = 0;
  Element element = Element::kF32;  // of x and the packed weights
  Element result = Element::kF32;   // of y, and of `other`: kF32 or kBf16
  Epilogue epilogue = Epilogue::kNone;
  // kInt8: x comes turned in blocks of so many values (QuantiseTask), and so are the weights.
  int64_t block = 1;
  // Outputs are computed in about so many pieces at a time, where oneDNN does.
  int pieces = 1;
  // By oneDNN even where panels are faster: for tests, on CPUs that prefer panels.
  bool only_onednn = false;
  // kBf16 on CPUs that have no products of it: the same values and roundings, the sums by a product
  // in fp32. Slow; for tests and for measuring accuracy.
  bool emulate_bf16 = false;
};

// Immutable once packed; products with it are products.h.
class PackedLinear {
 public:
  PackedLinear();  // empty
  PackedLinear(PackedLinear&&) noexcept;
  PackedLinear& operator=(PackedLinear&&) noexcept;
  ~PackedLinear();

  // weight: [out, in] row-major, rounded here to what `spec` says; bias: [out], or null for none.
  // Both are copied. INVALID_ARGUMENT where this CPU cannot compute with `spec.element`,
  // RESOURCE_EXHAUSTED without memory. oneDNN may use the calling thread's OpenMP team.
  static absl::StatusOr<PackedLinear> Pack(const LinearSpec& spec, const float* weight,
                                           const float* bias);

  // REQUIRES: not empty. This and the next.
  const LinearSpec& spec() const;

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

#include "vision/encoder/onednn/kernels.h"

#include <vector>

namespace emotion::vision {
namespace portable {
extern const Kernels kKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#endif

namespace {

// What the widest vectors pad to.
constexpr size_t kWidest = 32;

size_t Padded(int64_t n) { return (static_cast<size_t>(n) + kWidest - 1) / kWidest * kWidest; }

std::vector<const Kernels*> FindUsable() {
  std::vector<const Kernels*> usable;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    usable.push_back(&avx512::kKernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    usable.push_back(&avx2::kKernels);
  }
#endif
  usable.push_back(&portable::kKernels);
  return usable;
}

}  // namespace

// Keys transposed, values, four queries, four rows of scores.
size_t HeadScratch(int64_t rows, int64_t dim) {
  const auto width = static_cast<size_t>(dim);
  return width * Padded(rows) + Padded(rows) * Padded(dim) + 4 * width + 4 * Padded(rows);
}

std::span<const Kernels* const> UsableKernels() {
  static const std::vector<const Kernels*> usable = FindUsable();
  return usable;
}

}  // namespace emotion::vision

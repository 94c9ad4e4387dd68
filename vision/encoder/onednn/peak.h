// What this machine could do at best: the yardstick of benchmarks.
#pragma once

#include "absl/status/statusor.h"
#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {

// 1e9 operations a second of the fastest of several products of 2048 x 2048 x 2048 by oneDNN's
// matmul, with weights in the layout that it asks for; for kInt8, unsigned by signed bytes to sums
// of 32 bits. INVALID_ARGUMENT where this CPU cannot compute with `element`. About a second.
absl::StatusOr<double> MatmulPeakGflops(Element element, int threads);

// The same of fp32 multiply-adds on registers alone, by the widest vectors that the CPU has: no
// program is faster.
double RegisterPeakGflops(int threads);

}  // namespace emotion::vision

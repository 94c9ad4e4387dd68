// What the LibTorch at hand has, decided here and nowhere else. All are 0 or 1.
//
// Debian's is 1.13 without CUDA; scripts/build_torch_module.sh builds against others.
// EMOTION_TORCH_CUDA comes from cmake/dependencies.cmake: the LibTorch has its CUDA half, and
// CUDA's headers are there.
#pragma once

#include <torch/version.h>

#define EMOTION_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||          \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

#ifndef EMOTION_TORCH_CUDA
#define EMOTION_TORCH_CUDA 0
#endif

// Attention as one operation, with kernels that never write the scores to memory.
#define EMOTION_TORCH_ATTENTION EMOTION_TORCH_AT_LEAST(2, 0)

// CUDA graphs whose capture leaves the other threads of the process alone.
#define EMOTION_TORCH_GRAPHS (EMOTION_TORCH_CUDA && EMOTION_TORCH_AT_LEAST(2, 1))

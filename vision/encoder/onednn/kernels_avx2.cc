// Compiled for avx2: see CMakeLists.txt.
#define EMOTION_KERNEL_SET avx2
#define EMOTION_KERNEL_NAME "avx2"
#define EMOTION_KERNEL_LANES 8
#include "vision/encoder/onednn/kernels_body.inc"

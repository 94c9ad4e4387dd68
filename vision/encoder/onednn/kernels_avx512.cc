// Compiled for avx512: see CMakeLists.txt.
#define EMOTION_KERNEL_SET avx512
#define EMOTION_KERNEL_NAME "avx512"
#define EMOTION_KERNEL_LANES 16
#include "vision/encoder/onednn/kernels_body.inc"

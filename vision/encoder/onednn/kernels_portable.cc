// Compiled for portable: see CMakeLists.txt.
#define EMOTION_KERNEL_SET portable
#define EMOTION_KERNEL_NAME "portable"
#define EMOTION_KERNEL_LANES 4
#include "vision/encoder/onednn/kernels_body.inc"

// Compiled for portable: see CMakeLists.txt.
#define EMOTION_KERNEL_SET portable
#define EMOTION_KERNEL_NAME "portable"
#include "vision/encoder/onednn/kernels_body.h"

// The version of what happens between the bytes of an image and its patches.
#pragma once

#include <cstdint>

namespace emotion::vision {

// Goes up with every change after which some image gives other patches: embeddings cached, or heads
// trained, before the change do not fit those after it.
inline constexpr uint32_t kPreprocessingVersion = 1;

}  // namespace emotion::vision

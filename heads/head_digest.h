// One number for what four heads compute.
#pragma once

#include <array>

#include "common/affect/affect.h"
#include "heads/fingerprint.h"
#include "heads/head_checkpoint.h"

namespace emotion::heads {

// SHA-256 over everything that moves a prediction: layers, weights, activation, input size and
// calibration of each state. Names, metrics and file layout do not count: the same head, written
// anew, has the same digest.
Fingerprint DigestHeads(const std::array<HeadCheckpoint, kStateCount>& heads);

}  // namespace emotion::heads

// The identity of a model: what must be equal for two embeddings to mean the same.
//
// SHA-256 over the vision config, the preprocessing fields, the pooling, and every tensor of the
// tower sorted by name (name without prefix, dtype, shape, SHA-256 of its bytes). How the tensors
// are cut into files and prefixed does not matter; the precision of the computation is not part of
// it.
#pragma once

#include <string>
#include <string_view>

#include "vision/encoder/model_config.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/encoder/weights.h"

namespace emotion::vision {

// `canonical_preprocessing` is the preprocessing's own text: any change to it is another model.
// Reads every byte of the weights (7B in bf16: 1.35 GB, about a second), on `threads` threads;
// 0 means one per core.
Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, int threads = 0);

// 64 hexadecimal digits.
std::string FingerprintText(const Fingerprint& fingerprint);

}  // namespace emotion::vision

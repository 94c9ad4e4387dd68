// The identity of a model: what must be equal for two embeddings to mean the same.
//
// SHA-256 over the vision config, the preprocessing fields, the pooling, and every tensor of the
// tower sorted by name (name without prefix, dtype, shape, SHA-256 of its bytes). How the tensors
// are cut into files and prefixed does not matter; the precision of the computation is not part of
// it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "vision/encoder/model_config.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/encoder/weights.h"

namespace emotion::vision {

// The SHA-256 of each tensor's bytes, by name without prefix.
using TensorDigests = std::map<std::string, Fingerprint>;

Fingerprint DigestOf(const TensorView& tensor);

// Of digests that somebody took while reading the weights anyway; one for each tensor of
// `checkpoint`. `canonical_preprocessing` is the preprocessing's own text: any change to it is
// another model.
Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, const TensorDigests& digests);

// Reads every byte of the weights for it (7B in bf16: 1.35 GB, about a second), on `threads`
// threads; 0 means one per core.
Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, int threads = 0);

// 64 hexadecimal digits.
std::string FingerprintText(const Fingerprint& fingerprint);

}  // namespace emotion::vision

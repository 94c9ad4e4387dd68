// The exact cache's key: equal keys mean the same image, treated the same way by the same model,
// for callers who may share.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/hash/sha256.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/preprocess/image.h"

namespace emotion::embedding {

using ContentKey = Digest;

// All that an embedding depends on, and who may share it.
struct ContentKeyParts {
  std::string_view cache_scope;  // 0 or 16 bytes
  std::string_view image;        // the bytes as they came
  vision::Fingerprint fingerprint{};
  vision::Precision precision = vision::Precision::kFp32;
  uint32_t preprocessing_version = 0;
  bool native = false;          // the encoder's own size rule; resize_to is then zero
  vision::ImageSize resize_to;  // pixels
  bool apply_exif = false;
};

// SHA-256 over the parts, each preceded by its length, so that no two lists of parts read the same.
// About 1 ms per MiB of image.
ContentKey MakeContentKey(const ContentKeyParts& parts);

// For unordered containers: keys are uniform already.
struct ContentKeyHash {
  size_t operator()(const ContentKey& key) const;
};

}  // namespace emotion::embedding

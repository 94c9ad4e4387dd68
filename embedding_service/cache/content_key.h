// What frames are found by. The exact cache's key: equal keys mean the same image, treated the same
// way by the same model, for callers who may share. The lane of near matching: equal lanes mean the
// same face of the same session, treated the same way by the same model.
#pragma once

#include <cstdint>
#include <string>
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

using NearLane = std::string;  // 32 bytes, or empty: none

// Whose frames may answer for each other, and all modes that an embedding depends on. Only images
// that are brought to a size of their own take part, so there is no native size.
struct NearLaneParts {
  std::string_view session;  // 16 bytes
  uint32_t face_id = 0;
  vision::Fingerprint fingerprint{};
  vision::Precision precision = vision::Precision::kFp32;
  uint32_t preprocessing_version = 0;
  vision::ImageSize resize_to;  // pixels
  bool apply_exif = false;
};

NearLane MakeNearLane(const NearLaneParts& parts);

// For unordered containers: keys are uniform already.
struct ContentKeyHash {
  size_t operator()(const ContentKey& key) const;
};

}  // namespace emotion::embedding

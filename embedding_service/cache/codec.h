// A cached embedding as bytes: what a tier outside the process stores.
//
// A value says itself what it is: it holds its own key, version, model, session and signature, so
// that a reply that belongs to another question, a torn write, a value of another release or of
// somebody without the secret can never become someone's embedding. Whatever does not fit is no
// value at all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "embedding_service/cache/content_key.h"
#include "embedding_service/cache/shared_seal.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::embedding {

struct CachedEmbedding {
  std::string halves;             // [dim] fp16 little-endian: what the heads see, on hit and miss
  uint32_t quality_warnings = 0;  // bit n: the protocol's QualityWarning n
  int64_t encoded_at_us = 0;      // Unix time in microseconds; the lifetime counts from here
};

// An embedding and whose it is, so that a deletion finds it in every tier.
struct OwnedEmbedding {
  std::shared_ptr<const CachedEmbedding> value;
  std::string session = {};  // 16 bytes, or empty
  int64_t accepted_at_us = 0;
};

// What a reader must find in a value.
struct CodecIdentity {
  vision::Fingerprint fingerprint{};
  vision::Precision precision = vision::Precision::kFp32;
  size_t dim = 0;
};

// 160 bytes and 2 per value. REQUIRES: a session of 0 or 16 bytes.
std::string EncodeCached(const ContentKey& key, const CodecIdentity& identity,
                         const SharedSeal& seal, const OwnedEmbedding& embedding);

// nullopt for bytes that are not a value of this release, for this key, of this model, sealed with
// this secret; never fails otherwise, whatever the bytes.
std::optional<OwnedEmbedding> DecodeCached(const ContentKey& key, const CodecIdentity& identity,
                                           const SharedSeal& seal, std::string_view bytes);

}  // namespace emotion::embedding

// A cached embedding as bytes: what a tier outside the process stores.
//
// A value says itself what it is: it holds its own key, version, model and checksum, so that a
// reply that belongs to another question, a torn write or a value of another release can never
// become someone's embedding. Whatever does not fit is no value at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "embedding_service/cache/content_key.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::embedding {

struct CachedEmbedding {
  std::string halves;             // [dim] fp16 little-endian: what the heads see, on hit and miss
  uint32_t quality_warnings = 0;  // bit n: the protocol's QualityWarning n
  int64_t encoded_at_us = 0;      // Unix time in microseconds; the lifetime counts from here
};

// What a reader must find in a value.
struct CodecIdentity {
  vision::Fingerprint fingerprint{};
  vision::Precision precision = vision::Precision::kFp32;
  size_t dim = 0;
};

// 128 bytes and 2 per value.
std::string EncodeCached(const ContentKey& key, const CodecIdentity& identity,
                         const CachedEmbedding& value);

// nullopt for bytes that are not a value of this release, for this key, of this model; never fails
// otherwise, whatever the bytes.
std::optional<CachedEmbedding> DecodeCached(const ContentKey& key, const CodecIdentity& identity,
                                            std::string_view bytes);

}  // namespace emotion::embedding

// What replicas tell each other of near duplicates: sealed descriptors, and the keys of the
// embeddings beside them.
//
// An entry is signed together with its lane and its key: one that was moved to another lane, that
// points to another's embedding or that somebody without the secret wrote is refused. Pure; safe
// from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "embedding_service/cache/content_key.h"
#include "embedding_service/cache/shared_seal.h"

namespace emotion::embedding {

struct SharedNearEntry {
  std::string sealed;  // by DescriptorSeal
  ContentKey key{};    // as SharedSeal::KeyOf
  int64_t encoded_at_us = 0;
};

// What was known of one lane when it was asked for.
struct NearCandidates {
  std::vector<SharedNearEntry> entries;
  std::chrono::nanoseconds round_trip{0};  // how long asking took
};

// DescriptorSeal::kSealedBytes and 72 more. REQUIRES: seal.keyed(), a descriptor sealed by
// DescriptorSeal.
std::string EncodeNearEntry(const SharedSeal& seal, std::string_view lane_name,
                            const SharedNearEntry& entry);

// nullopt for what EncodeNearEntry did not make for this lane with this secret, whatever the bytes.
std::optional<SharedNearEntry> DecodeNearEntry(const SharedSeal& seal, std::string_view lane_name,
                                               std::string_view bytes);

}  // namespace emotion::embedding

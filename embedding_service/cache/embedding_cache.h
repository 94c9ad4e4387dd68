// What the frame pipeline knows of the cache: look up, store, forget. Tiers stand behind it.
//
// Calls never block: a tier that has to wait answers later, on a thread of its own. A cache that is
// broken misses; it never fails a frame.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "embedding_service/cache/codec.h"
#include "embedding_service/cache/content_key.h"

namespace emotion::embedding {

using SessionKey = std::string;  // 16 bytes, or empty: no session

struct CacheStore {
  ContentKey key{};
  SessionKey session;
  // When the first door accepted the frame, Unix microseconds: a session's deletion after it wins.
  int64_t accepted_at_us = 0;
  std::shared_ptr<const CachedEmbedding> value;
};

class EmbeddingCache {
 public:
  using Found = std::function<void(std::shared_ptr<const CachedEmbedding>)>;  // null: a miss
  using Forgotten = std::function<void(absl::Status)>;

  virtual ~EmbeddingCache() = default;

  // `found` is called exactly once, before Lookup returns or later on another thread.
  virtual void Lookup(const ContentKey& key, Found found) = 0;

  virtual void Store(CacheStore store) = 0;

  // Drops what was stored of the session's frames accepted up to `deleted_at_us`, and refuses such
  // frames from now on. Not OK: not everywhere; safe to repeat. REQUIRES: 16 bytes.
  virtual void Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) = 0;
};

}  // namespace emotion::embedding

// The in-process tier: a sharded LRU, bounded in bytes, with an absolute lifetime, and the near
// index beside it.
//
// Safe from any thread; every call answers before it returns. A value lives `ttl` from its encode
// at most: hits renew its place, never its life. `capacity_bytes` counts keys, values, descriptors
// and bookkeeping; it is shared out evenly to the shards. `capacity_bytes` = 0 (or `ttl` = 0) turns
// the tier off: lookups miss and nothing is stored, but deletions are remembered.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "embedding_service/cache/deletion_log.h"
#include "embedding_service/cache/embedding_cache.h"
#include "embedding_service/cache/near_index.h"

namespace emotion {
class Metrics;
}

namespace emotion::embedding {

class LruShard;

class LocalCache final : public EmbeddingCache {
 public:
  struct Options {
    size_t capacity_bytes = size_t{256}
                            << 20;  // an eighth of it is the near index', where it is on
    std::chrono::seconds ttl{600};
    // How alike a frame must be to share an answer; from 1 on near matching is off.
    float near_threshold = 0.95F;
    // More shards: less waiting for locks, a coarser bound. A power of two is not needed.
    size_t shards = 16;
    // Deletions remembered exactly; beyond, the oldest refuse stores of all sessions up to their
    // time. 100,000 take about 15 MB and are 166 deletions a second at the default lifetime.
    size_t max_deletions = 100'000;
    // Injected by tests.
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
    std::function<int64_t()> unix_us = {};  // empty: the system clock
  };

  // Borrows `metrics`, which must outlive this object.
  LocalCache(Options options, Metrics& metrics);
  ~LocalCache() override;

  void Lookup(CacheQuestion question, Found found) override;
  std::shared_ptr<const CachedEmbedding> Peek(const ContentKey& key) override;
  // Of the frames that are near enough the most alike whose embedding is still there.
  void LookupNear(NearQuestion question, FoundNear found) override;
  void Store(CacheStore store) override;
  void Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) override;

  // For a tier behind this one: whether what a frame brought may still be stored and shown; its
  // session was not deleted since.
  bool MayServe(const SessionKey& session, int64_t accepted_at_us) const {
    return deletions_.MayStore(session, accepted_at_us);
  }

  size_t bytes() const;
  size_t entries() const;

 private:
  LruShard& ShardOf(const ContentKey& key) const;
  void ShowBytes();

  const Options options_;
  Metrics& metrics_;
  DeletionLog deletions_;
  std::vector<std::unique_ptr<LruShard>> shards_;
  NearIndex near_;
};

}  // namespace emotion::embedding

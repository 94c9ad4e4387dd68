// The cache as the service has it: the in-process tier and, where it is shared, Redis behind it.
//
// What only Redis has is filled back into the process, with its owner, so that a deletion finds it
// there too. A deletion that Redis did not hear of is told again until it has, and what Redis holds
// of the deleted is served to nobody here meanwhile. Redis that is down, slow or wrong costs a
// frame at most the client's time limit and changes no answer.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/observe/metrics.h"
#include "common/redis/redis_client.h"
#include "common/sync/worker_pool.h"
#include "embedding_service/cache/deletion_retrier.h"
#include "embedding_service/cache/embedding_cache.h"
#include "embedding_service/cache/local_cache.h"
#include "embedding_service/cache/redis_tier.h"
#include "embedding_service/cache/shared_seal.h"

namespace emotion::embedding {

struct CacheOptions {
  LocalCache::Options local = {};          // lifetime and threshold are those of all tiers
  std::optional<RedisOptions> redis = {};  // unset: not shared
  std::string secret = {};                 // CACHE_SECRET; empty: near matching stays in process
};

enum class SharedCacheState { kOff, kUp, kDown };

class TieredCache final : public EmbeddingCache {
 public:
  // Connects in the background. `metrics` must outlive this object.
  TieredCache(CacheOptions options, Metrics& metrics);
  ~TieredCache() override;  // Stop()

  // The model whose embeddings are looked up and stored. Call once, before the first Lookup and
  // Store; Forget may come before.
  void ServeModel(const CodecIdentity& identity);

  void Lookup(CacheQuestion question, Found found) override;
  std::shared_ptr<const CachedEmbedding> Peek(const ContentKey& key) override {
    return local_.Peek(seal_.KeyOf(key));
  }
  void LookupNear(NearQuestion question, FoundNear found) override;
  void Store(CacheStore store) override;
  // UNAVAILABLE: gone here, but Redis has not heard of it.
  void Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) override;

  // kDown: not reached yet, or lost.
  SharedCacheState shared_state() const;
  // Waits until Redis was reached or a first attempt failed, within its limit of connecting; not at
  // all where the cache is not shared.
  void AwaitFirstState() const;
  bool shares_near() const { return redis_ && redis_->shares_near(); }
  size_t deletions_pending() const { return retrier_ ? retrier_->pending() : 0; }

  // Answers what waits, and asks Redis nothing any more. May be repeated.
  void Stop();

 private:
  std::shared_ptr<const CachedEmbedding> Accept(const ContentKey& key,
                                                std::optional<OwnedEmbedding> embedding);

  LocalCache local_;
  const SharedSeal seal_;
  // All null where the cache is not shared.
  std::unique_ptr<RedisClient> client_;
  std::unique_ptr<RedisTier> redis_;
  std::unique_ptr<DeletionRetrier> retrier_;
  std::unique_ptr<WorkerPool> senders_;  // last: its thread stores in all of the above
};

}  // namespace emotion::embedding

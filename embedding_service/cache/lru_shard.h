// One part of the in-process tier under one lock: embeddings by key, the least recently used first
// to go, and those of a session in a chain. See local_cache.h.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <list>
#include <memory>
#include <unordered_map>

#include "common/sync/mutex.h"
#include "embedding_service/cache/deletion_log.h"
#include "embedding_service/cache/embedding_cache.h"

namespace emotion::embedding {

class LruShard {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit LruShard(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  std::shared_ptr<const CachedEmbedding> Find(const ContentKey& key, TimePoint now);

  // False: the session was deleted after the frame was accepted. A value larger than the shard is
  // not stored and pushes nothing out.
  bool Insert(const CacheStore& store, TimePoint expires, const DeletionLog& deletions);

  // Drops what the session's frames accepted up to `deleted_at_us` stored.
  void Forget(const SessionKey& session, int64_t deleted_at_us);

  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  size_t entries() const;

 private:
  using Session = std::array<char, 16>;
  struct SessionHash {
    size_t operator()(const Session& session) const;
  };
  // As small as it can be: there is one for every embedding.
  struct Entry {
    ContentKey key;
    std::shared_ptr<const CachedEmbedding> value;
    TimePoint expires;
    int64_t accepted_at_us = 0;
    Session session{};
    Entry* earlier = nullptr;  // of the session
    Entry* later = nullptr;
    uint32_t bytes = 0;
    bool has_session = false;
    std::list<Entry>::iterator self = {};
  };
  using Iterator = std::list<Entry>::iterator;

  void Chain(Entry& entry) REQUIRES_LOCK(mutex_);
  void Unchain(Entry& entry) REQUIRES_LOCK(mutex_);
  void Erase(Iterator entry) REQUIRES_LOCK(mutex_);

  const size_t capacity_bytes_;
  mutable Mutex mutex_;
  std::list<Entry> lru_ GUARDED_BY(mutex_);  // the most recently used first
  std::unordered_map<ContentKey, Iterator, ContentKeyHash> by_key_ GUARDED_BY(mutex_);
  std::unordered_map<Session, Entry*, SessionHash> newest_of_ GUARDED_BY(mutex_);
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace emotion::embedding

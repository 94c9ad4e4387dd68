#include "embedding_service/cache/local_cache.h"

#include <algorithm>
#include <utility>

#include "common/observe/metrics.h"

namespace emotion::embedding {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// List node, two hash nodes, control blocks, allocator headers: measured as about 400 bytes.
constexpr size_t kOverheadBytes = 448;

size_t BytesOf(const CacheStore& store) {
  return kOverheadBytes + sizeof(CachedEmbedding) + store.value->halves.size() +
         store.session.size();
}

int64_t SystemMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// One part of the cache under one lock: an LRU list, an index of it by key, and by session.
class LocalCache::Shard {
 public:
  explicit Shard(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  std::shared_ptr<const CachedEmbedding> Find(const ContentKey& key, TimePoint now) {
    const MutexLock lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    const auto entry = found->second;
    if (entry->expires <= now) {
      Erase(entry);
      return nullptr;
    }
    lru_.splice(lru_.begin(), lru_, entry);
    return entry->store.value;
  }

  // False: the session was deleted after the frame was accepted. The log is asked under this
  // shard's lock, and Forget writes it before it comes here: so either the log refuses, or Forget
  // finds the entry.
  bool Insert(CacheStore store, TimePoint expires, const DeletionLog& deletions) {
    const size_t bytes = BytesOf(store);
    if (bytes > capacity_bytes_) return true;
    const MutexLock lock(mutex_);
    if (!deletions.MayStore(store.session, store.accepted_at_us)) return false;
    if (const auto old = by_key_.find(store.key); old != by_key_.end()) Erase(old->second);
    bytes_ += bytes;
    if (!store.session.empty()) by_session_[store.session].insert(store.key);
    lru_.push_front({std::move(store), expires, bytes});
    by_key_[lru_.front().store.key] = lru_.begin();
    while (bytes_ > capacity_bytes_) Erase(std::prev(lru_.end()));
    return true;
  }

  void Forget(const SessionKey& session, int64_t deleted_at_us) {
    const MutexLock lock(mutex_);
    const auto found = by_session_.find(session);
    if (found == by_session_.end()) return;
    const std::vector<ContentKey> keys(found->second.begin(), found->second.end());
    for (const ContentKey& key : keys) {
      const auto entry = by_key_.at(key);
      if (entry->store.accepted_at_us <= deleted_at_us) Erase(entry);
    }
  }

  size_t bytes() const {
    const MutexLock lock(mutex_);
    return bytes_;
  }
  size_t entries() const {
    const MutexLock lock(mutex_);
    return lru_.size();
  }

 private:
  struct Entry {
    CacheStore store;
    TimePoint expires;
    size_t bytes;
  };
  using Iterator = std::list<Entry>::iterator;

  void Erase(Iterator entry) REQUIRES_LOCK(mutex_) {
    const CacheStore& store = entry->store;
    if (const auto session = by_session_.find(store.session); session != by_session_.end()) {
      session->second.erase(store.key);
      if (session->second.empty()) by_session_.erase(session);
    }
    by_key_.erase(store.key);
    bytes_ -= entry->bytes;
    lru_.erase(entry);
  }

  const size_t capacity_bytes_;
  mutable Mutex mutex_;
  std::list<Entry> lru_ GUARDED_BY(mutex_);  // the most recently used first
  std::unordered_map<ContentKey, Iterator, ContentKeyHash> by_key_ GUARDED_BY(mutex_);
  std::unordered_map<SessionKey, std::unordered_set<ContentKey, ContentKeyHash>> by_session_
      GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
};

LocalCache::LocalCache(Options options, Metrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      deletions_(options_.ttl, options_.max_deletions) {
  const size_t shards = std::max<size_t>(options_.shards, 1);
  for (size_t i = 0; i < shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(options_.capacity_bytes / shards));
  }
}

LocalCache::~LocalCache() = default;

void LocalCache::Lookup(CacheQuestion question, Found found) {
  auto value = ShardOf(question.key).Find(question.key, options_.now());
  metrics_.CacheLookup(CacheTier::kLocal, value ? LookupOutcome::kExact : LookupOutcome::kMiss);
  found({.exact = std::move(value)});
}

void LocalCache::LookupNear(NearQuestion, FoundNear found) { found({}); }

void LocalCache::Store(CacheStore store) {
  const int64_t now_us = options_.unix_us ? options_.unix_us() : SystemMicroseconds();
  const std::chrono::nanoseconds ttl = options_.ttl;
  // Clocks that differ must not lengthen a life, nor make an age negative.
  const std::chrono::nanoseconds age = std::clamp<std::chrono::nanoseconds>(
      std::chrono::microseconds(now_us - store.value->encoded_at_us), std::chrono::nanoseconds(0),
      ttl);
  if (age == ttl) return;
  Shard& shard = ShardOf(store.key);
  if (!shard.Insert(std::move(store), options_.now() + (ttl - age), deletions_)) {
    metrics_.Incident(IncidentKind::kStoreAfterDelete);
  }
  metrics_.SetCacheBytes(CacheTier::kLocal, static_cast<int64_t>(bytes()));
}

void LocalCache::Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) {
  deletions_.Record(session, deleted_at_us, options_.now());
  for (const auto& shard : shards_) shard->Forget(session, deleted_at_us);
  metrics_.SetCacheBytes(CacheTier::kLocal, static_cast<int64_t>(bytes()));
  forgotten(absl::OkStatus());
}

LocalCache::Shard& LocalCache::ShardOf(const ContentKey& key) const {
  // Not the bytes that the shard's own table hashes with: those would then be alike inside a shard.
  const size_t number = key[31] | (size_t{key[30]} << 8);
  return *shards_[number % shards_.size()];
}

size_t LocalCache::bytes() const {
  size_t sum = 0;
  for (const auto& shard : shards_) sum += shard->bytes();
  return sum;
}

size_t LocalCache::entries() const {
  size_t sum = 0;
  for (const auto& shard : shards_) sum += shard->entries();
  return sum;
}

}  // namespace emotion::embedding

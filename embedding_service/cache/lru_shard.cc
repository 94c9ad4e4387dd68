#include "embedding_service/cache/lru_shard.h"

#include <algorithm>
#include <cstring>

namespace emotion::embedding {
namespace {

// Around the halves: list node, two hash nodes and their buckets, control block, allocator headers.
// Held to what malloc says by a test.
constexpr size_t kOverheadBytes = 400;

size_t BytesOf(const CachedEmbedding& value) { return kOverheadBytes + value.halves.capacity(); }

}  // namespace

size_t LruShard::SessionHash::operator()(const Session& session) const {
  size_t first = 0;  // session keys are uniform
  std::memcpy(&first, session.data(), sizeof(first));
  return first;
}

std::shared_ptr<const CachedEmbedding> LruShard::Find(const ContentKey& key, TimePoint now) {
  const MutexLock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  const Iterator entry = found->second;
  if (entry->expires <= now) {
    Erase(entry);
    return nullptr;
  }
  lru_.splice(lru_.begin(), lru_, entry);
  return entry->value;
}

bool LruShard::Insert(const CacheStore& store, TimePoint expires, const DeletionLog& deletions) {
  const size_t bytes = BytesOf(*store.value);
  if (bytes > capacity_bytes_ || bytes > UINT32_MAX) return true;
  const MutexLock lock(mutex_);
  // Under this lock, as Forget writes the log before it comes here: so either the log refuses, or
  // Forget finds the entry.
  if (!deletions.MayStore(store.session, store.accepted_at_us)) return false;
  if (const auto old = by_key_.find(store.key); old != by_key_.end()) Erase(old->second);
  Entry& entry = lru_.emplace_front(Entry{.key = store.key,
                                          .value = store.value,
                                          .expires = expires,
                                          .accepted_at_us = store.accepted_at_us,
                                          .bytes = static_cast<uint32_t>(bytes)});
  entry.self = lru_.begin();
  if (store.session.size() == entry.session.size()) {
    std::copy(store.session.begin(), store.session.end(), entry.session.begin());
    entry.has_session = true;
    Chain(entry);
  }
  by_key_[store.key] = entry.self;
  bytes_ += bytes;
  while (bytes_ > capacity_bytes_) Erase(std::prev(lru_.end()));
  return true;
}

void LruShard::Forget(const SessionKey& session, int64_t deleted_at_us) {
  Session name{};
  if (session.size() != name.size()) return;
  std::copy(session.begin(), session.end(), name.begin());
  const MutexLock lock(mutex_);
  const auto found = newest_of_.find(name);
  if (found == newest_of_.end()) return;
  for (Entry* entry = found->second; entry != nullptr;) {
    Entry* const earlier = entry->earlier;
    if (entry->accepted_at_us <= deleted_at_us) Erase(entry->self);
    entry = earlier;
  }
}

size_t LruShard::entries() const {
  const MutexLock lock(mutex_);
  return lru_.size();
}

void LruShard::Chain(Entry& entry) {
  Entry*& newest = newest_of_[entry.session];
  entry.earlier = newest;
  if (newest != nullptr) newest->later = &entry;
  newest = &entry;
}

void LruShard::Unchain(Entry& entry) {
  if (entry.earlier != nullptr) entry.earlier->later = entry.later;
  if (entry.later != nullptr) {
    entry.later->earlier = entry.earlier;
  } else if (entry.earlier != nullptr) {
    newest_of_.at(entry.session) = entry.earlier;
  } else {
    newest_of_.erase(entry.session);
  }
}

void LruShard::Erase(Iterator entry) {
  if (entry->has_session) Unchain(*entry);
  by_key_.erase(entry->key);
  bytes_ -= entry->bytes;
  lru_.erase(entry);
}

}  // namespace emotion::embedding

#include "embedding_service/cache/local_cache.h"

#include <algorithm>
#include <utility>

#include "common/observe/metrics.h"
#include "embedding_service/cache/lru_shard.h"

namespace emotion::embedding {
namespace {

constexpr size_t kNearShare = 8;  // a descriptor is a ninth of an embedding

int64_t SystemMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

size_t NearBytes(const LocalCache::Options& options) {
  return options.near_threshold < 1 ? options.capacity_bytes / kNearShare : 0;
}

}  // namespace

LocalCache::LocalCache(Options options, Metrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      deletions_(options_.ttl, options_.max_deletions),
      near_(NearBytes(options_)) {
  const size_t shards = std::max<size_t>(options_.shards, 1);
  const size_t bytes = (options_.capacity_bytes - NearBytes(options_)) / shards;
  for (size_t i = 0; i < shards; ++i) shards_.push_back(std::make_unique<LruShard>(bytes));
}

LocalCache::~LocalCache() = default;

void LocalCache::Lookup(CacheQuestion question, Found found) {
  auto value = Peek(question.key);
  metrics_.CacheLookup(CacheTier::kLocal, value ? LookupOutcome::kExact : LookupOutcome::kMiss);
  found({.exact = std::move(value)});
}

std::shared_ptr<const CachedEmbedding> LocalCache::Peek(const ContentKey& key) {
  return ShardOf(key).Find(key, options_.now());
}

void LocalCache::LookupNear(NearQuestion question, FoundNear found) {
  auto [matches, fleeting] = near_.Find(
      question.lane, {.descriptor = question.descriptor, .accepted_at_us = question.accepted_at_us},
      options_.near_threshold, options_.now());
  NearFinding finding{.fleeting = std::move(fleeting)};
  for (const NearMatch& match : matches) {
    finding.value = Peek(match.key);
    if (!finding.value) continue;
    metrics_.CacheLookup(CacheTier::kLocal, LookupOutcome::kNear);
    finding.similarity = match.similarity;
    break;
  }
  found(std::move(finding));
}

void LocalCache::Store(CacheStore store) {
  const int64_t now_us = options_.unix_us ? options_.unix_us() : SystemMicroseconds();
  const std::chrono::nanoseconds ttl = options_.ttl;
  // Clocks that differ must not lengthen a life, nor make an age negative.
  const std::chrono::nanoseconds age = std::clamp<std::chrono::nanoseconds>(
      std::chrono::microseconds(now_us - store.value->encoded_at_us), std::chrono::nanoseconds(0),
      ttl);
  if (age == ttl) return;
  const auto now = options_.now();
  if (!ShardOf(store.key).Insert(store, now + (ttl - age), deletions_)) {
    metrics_.Incident(IncidentKind::kStoreAfterDelete);
  } else if (store.descriptor) {
    near_.Add({.lane = std::move(store.lane),
               .session = std::move(store.session),
               .accepted_at_us = store.accepted_at_us,
               .key = store.key,
               .descriptor = *store.descriptor},
              now, now + std::min<std::chrono::nanoseconds>(ttl, kNearLifetime) - age, deletions_);
  }
  ShowBytes();
}

void LocalCache::Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) {
  deletions_.Record(session, deleted_at_us, options_.now());
  for (const auto& shard : shards_) shard->Forget(session, deleted_at_us);
  near_.Forget(session, deleted_at_us);
  ShowBytes();
  forgotten(absl::OkStatus());
}

LruShard& LocalCache::ShardOf(const ContentKey& key) const {
  // Not the bytes that the shard's own table hashes with: those would then be alike inside a shard.
  const size_t number = key[31] | (size_t{key[30]} << 8);
  return *shards_[number % shards_.size()];
}

void LocalCache::ShowBytes() { metrics_.SetLocalCacheBytes(static_cast<int64_t>(bytes())); }

size_t LocalCache::bytes() const {
  size_t sum = near_.bytes();
  for (const auto& shard : shards_) sum += shard->bytes();
  return sum;
}

size_t LocalCache::entries() const {
  size_t sum = 0;
  for (const auto& shard : shards_) sum += shard->entries();
  return sum;
}

}  // namespace emotion::embedding

// The cache in Redis, which all replicas share.
//
//   {emotion}x<key>      one value (codec.h), for what is left of its lifetime
//   {emotion}s<session>  sorted set of the session's keys by the time their frames were accepted
//   {emotion}d<session>  when the session was deleted last, microseconds
//   {emotion}n<lane>     list of the last encoded frames of a lane (shared_near.h)
//
// All have a time to live, and one hash tag, so that the scripts that touch several find them on
// one node. Names and values tell nothing to who does not know CACHE_SECRET; without one there are
// no lanes here. Scripts make storing and forgetting one step each: a frame accepted before its
// session's deletion is not stored after it.
//
// Nothing here blocks: answers come on the client's threads, or at once when the server is known to
// be away. Whatever does not fit is a miss. Safe from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/observe/metrics.h"
#include "common/redis/redis_client.h"
#include "embedding_service/cache/embedding_cache.h"
#include "embedding_service/cache/near_index.h"
#include "embedding_service/cache/shared_near.h"
#include "embedding_service/cache/shared_seal.h"

namespace emotion::embedding {

class RedisTier {
 public:
  struct Options {
    std::string cache_secret;  // empty: none
    std::chrono::seconds ttl{600};
    float near_threshold = 0.95F;        // from 1 on there are no lanes
    std::function<int64_t()> unix_us{};  // injected by tests; empty: the system clock
  };

  // Borrows all; they must outlive this object, which must outlive the client's answers.
  RedisTier(Options options, const SharedSeal& seal, RedisClient& client, Metrics& metrics);

  // Whose values are stored and found. Call before the first Lookup and Store.
  void ServeModel(const CodecIdentity& identity) { identity_ = identity; }

  bool shares_near() const { return seal_.keyed() && options_.near_threshold < 1; }

  // Keys are those of SharedSeal::KeyOf. One round trip for both; an empty lane asks for the key
  // only.
  struct Finding {
    std::optional<OwnedEmbedding> exact;
    std::shared_ptr<const NearCandidates> near;  // null: none
  };
  void Lookup(const ContentKey& key, const NearLane& lane, std::function<void(Finding)> done);

  // The most alike of the candidates that is alike enough and young enough. Drops those that the
  // frame of the question shows to be fleeting.
  std::optional<NearMatch> Match(const NearQuestion& question, const NearCandidates& candidates);

  // Those of the candidates that have one of the keys answer no replica any more; their embeddings
  // stay.
  void DropNear(const NearLane& lane, const NearCandidates& candidates,
                const std::vector<ContentKey>& keys);

  // What Match named. Nothing is counted: CountNear is for the hit that it becomes.
  void Fetch(const ContentKey& key, std::function<void(std::optional<OwnedEmbedding>)> done);

  void CountNear() { metrics_.CacheLookup(CacheTier::kRedis, LookupOutcome::kNear); }

  // Seals and signs, about 30 us, and sends. What cannot be sent is lost.
  void Store(const CacheStore& store);

  // UNAVAILABLE: Redis was not reached, or not in time; safe to repeat.
  void Forget(const SessionKey& session, int64_t deleted_at_us,
              std::function<void(absl::Status)> done);

 private:
  int64_t NowUs() const;
  std::chrono::milliseconds LifeLeft(int64_t encoded_at_us, std::chrono::milliseconds life) const;
  std::optional<OwnedEmbedding> ReadValue(const ContentKey& key, const RedisReply& reply) const;
  std::shared_ptr<NearCandidates> ReadLane(const NearLane& lane, const RedisReply& reply) const;
  void StoreOfSession(const CacheStore& store, std::string value, std::chrono::milliseconds life);

  const Options options_;
  const SharedSeal& seal_;
  RedisClient& client_;
  Metrics& metrics_;
  const DescriptorSeal descriptors_;
  CodecIdentity identity_;
};

}  // namespace emotion::embedding

// What the frame pipeline knows of the cache: look up, look near, store, forget. Tiers stand behind
// it.
//
// Calls never block: a tier that has to wait answers later, on a thread of its own. A cache that is
// broken misses; it never fails a frame. Every callback is called exactly once, before the call
// returns or later on another thread; it must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "embedding_service/cache/codec.h"
#include "embedding_service/cache/content_key.h"
#include "embedding_service/cache/near_duplicate.h"

namespace emotion::embedding {

using SessionKey = std::string;  // 16 bytes, or empty: no session

struct CacheQuestion {
  ContentKey key{};
  NearLane lane = {};  // empty: LookupNear will not follow
};

// What a shared tier knew of a lane when it was asked for the key beside it; its own to read.
struct NearCandidates;

struct CacheFinding {
  std::shared_ptr<const CachedEmbedding> exact = nullptr;  // null: a miss
  std::shared_ptr<const NearCandidates> shared_near = nullptr;
};

struct NearQuestion {
  NearLane lane;
  FaceDescriptor descriptor;
  int64_t accepted_at_us = 0;                                   // as CacheStore's; 0: not known
  std::shared_ptr<const NearCandidates> shared_near = nullptr;  // of the lookup before
};

struct NearFinding {
  std::shared_ptr<const CachedEmbedding> value = nullptr;  // null: nothing is near enough
  float similarity = 0;  // to the frame that `value` was encoded from; 0 without one
  std::vector<ContentKey> fleeting = {};  // of the lane, dropped here: for a tier behind
};

struct CacheStore {
  ContentKey key{};
  SessionKey session = {};
  // When the first door accepted the frame, Unix microseconds: a session's deletion after it wins.
  int64_t accepted_at_us = 0;
  std::shared_ptr<const CachedEmbedding> value;
  // Both set: later frames of the lane that are near enough to this one find it.
  NearLane lane = {};
  std::optional<FaceDescriptor> descriptor = {};
};

class EmbeddingCache {
 public:
  using Found = std::function<void(CacheFinding)>;
  using FoundNear = std::function<void(NearFinding)>;
  using Forgotten = std::function<void(absl::Status)>;

  virtual ~EmbeddingCache() = default;

  // Asks for the very image.
  virtual void Lookup(CacheQuestion question, Found found) = 0;

  // What this process holds of the key, at once; null also where a tier elsewhere has it. Counts
  // nothing: for whoever asked before and waited since. Takes locks of its own only.
  virtual std::shared_ptr<const CachedEmbedding> Peek(const ContentKey& key) = 0;

  // Asks for the most alike of the lane's encoded frames. REQUIRES: a lane.
  virtual void LookupNear(NearQuestion question, FoundNear found) = 0;

  // Only what was encoded: what was found is stored already, and near is not handed on.
  virtual void Store(CacheStore store) = 0;

  // Drops what was stored of the session's frames accepted up to `deleted_at_us`, and refuses such
  // frames from now on. Not OK: not everywhere; safe to repeat. REQUIRES: 16 bytes.
  virtual void Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) = 0;
};

}  // namespace emotion::embedding

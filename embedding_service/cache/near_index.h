// The encoded frames of each lane that later frames of it may be alike to: descriptors, and the
// keys under which the cache has their embeddings.
//
// Per lane the last kNearCandidates, each for kNearLifetime from its own encode, unless a frame
// soon after shows it to be fleeting (kNearFleeting). It holds no embedding, so one that was
// dropped answers for nobody. Bounded in bytes: lanes that were added to least recently go first.
// Safe from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/sync/mutex.h"
#include "embedding_service/cache/content_key.h"
#include "embedding_service/cache/deletion_log.h"
#include "embedding_service/cache/near_duplicate.h"

namespace emotion::embedding {

struct NearMatch {
  ContentKey key{};
  float similarity = 0;
};

class NearIndex {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `capacity_bytes` counts descriptors and bookkeeping; 0: nothing is remembered.
  explicit NearIndex(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  struct Frame {
    NearLane lane;
    std::string session;  // of the lane; one lane has one
    int64_t accepted_at_us = 0;
    ContentKey key{};
    FaceDescriptor descriptor;
  };
  // Remembered until `expires`, unless the session was deleted after the frame was accepted.
  void Add(Frame frame, TimePoint now, TimePoint expires, const DeletionLog& deletions);

  struct Found {
    std::vector<NearMatch> matches;    // at least `threshold` alike, the most alike first
    std::vector<ContentKey> fleeting;  // what `seen` showed to be, and was dropped for it
  };
  struct Seen {
    const FaceDescriptor& descriptor;
    int64_t accepted_at_us = 0;  // 0: it makes nothing fleeting
  };
  Found Find(const NearLane& lane, const Seen& seen, float threshold, TimePoint now);

  // Drops the session's frames accepted up to `deleted_at_us`.
  void Forget(const std::string& session, int64_t deleted_at_us);

  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Candidate {
    ContentKey key{};
    int64_t accepted_at_us = 0;
    TimePoint expires;
    FaceDescriptor descriptor;
  };
  struct Lane {
    NearLane name;
    std::string session;
    std::vector<Candidate> candidates;  // the oldest first
    size_t bytes = 0;
  };
  using Iterator = std::list<Lane>::iterator;

  std::vector<Candidate> CandidatesOf(const NearLane& lane) const;
  void Drop(const NearLane& lane, const std::vector<ContentKey>& keys);
  Iterator LaneOf(const Frame& frame) REQUIRES_LOCK(mutex_);
  void Shrunk(Iterator lane) REQUIRES_LOCK(mutex_);
  void Recount(Lane& lane) REQUIRES_LOCK(mutex_);
  void Erase(Iterator lane) REQUIRES_LOCK(mutex_);
  void Trim(TimePoint now) REQUIRES_LOCK(mutex_);

  const size_t capacity_bytes_;
  mutable Mutex mutex_;
  std::list<Lane> lanes_ GUARDED_BY(mutex_);  // added to most recently first
  std::unordered_map<std::string_view, Iterator> by_name_ GUARDED_BY(mutex_);  // of Lane::name
  std::unordered_map<std::string, std::unordered_set<std::string_view>> by_session_
      GUARDED_BY(mutex_);
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace emotion::embedding

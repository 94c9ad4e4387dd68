// When each session was last deleted, so that a frame still on its way then is not stored after.
//
// Records are kept for one cache lifetime (what was stored before has died by then) and bounded in
// number: the oldest give way to one floor for all sessions, which can only refuse more.
// Safe from any thread. A leaf lock: it is taken while a shard of the cache is locked.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "common/sync/mutex.h"

namespace emotion::embedding {

class DeletionLog {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  DeletionLog(std::chrono::nanoseconds keep, size_t max_records)
      : keep_(keep), max_records_(max_records) {}

  // The largest `deleted_at_us` of a session counts.
  void Record(const std::string& session, int64_t deleted_at_us, TimePoint now);

  // Whether a frame accepted at `accepted_at_us` may be stored. Frames without a session (empty)
  // may always.
  bool MayStore(const std::string& session, int64_t accepted_at_us) const;

  size_t size() const;

 private:
  struct Expiry {
    TimePoint at;
    std::string session;
    uint64_t version;  // of the record when this expiry was set
  };
  struct Deletion {
    int64_t deleted_at_us = 0;
    uint64_t version = 0;
  };

  void DropOldest(bool raise_floor) REQUIRES_LOCK(mutex_);

  const std::chrono::nanoseconds keep_;
  const size_t max_records_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, Deletion> deletions_ GUARDED_BY(mutex_);
  std::deque<Expiry> expiries_ GUARDED_BY(mutex_);  // by time; stale where versions differ
  uint64_t next_version_ GUARDED_BY(mutex_) = 1;
  int64_t floor_us_ GUARDED_BY(mutex_) = INT64_MIN;
};

}  // namespace emotion::embedding

// What the heads said of the embeddings that they read last.
//
// Four heads for 3584 values are 31 MB of weights: reading them takes 2 ms and empties the caches
// that the encoder works in. A cached embedding is the same to the bit as the one that was read
// when it was encoded, and the heads never change, so neither does their answer.
//
// An entry has the digest of an embedding and levels, nothing that tells a session or a face. Each
// is forgotten kKept after it was remembered, so within that time after a session was. Bounded by
// number; the oldest goes first. Safe from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>

#include "common/hash/sha256.h"
#include "common/sync/mutex.h"
#include "emotion/v1/embedding.pb.h"
#include "heads/head_bank.h"

namespace emotion::classifier {

class AnswerMemory {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kKept{60};

  explicit AnswerMemory(size_t capacity) : capacity_(capacity) {}

  // Equal for two embeddings only when they have the same type and values.
  static Digest KeyOf(const v1::Embedding& embedding);

  std::optional<heads::HeadPredictions> Find(const Digest& key, TimePoint now)
      EXCLUDES_LOCK(mutex_);
  // No-op for a key that is remembered.
  void Remember(const Digest& key, const heads::HeadPredictions& answer, TimePoint now)
      EXCLUDES_LOCK(mutex_);

  size_t entries() const EXCLUDES_LOCK(mutex_);

 private:
  struct KeyHash {
    size_t operator()(const Digest& key) const;
  };
  struct Remembered {
    Digest key;
    TimePoint expires;
  };

  void Forget(TimePoint now) REQUIRES_LOCK(mutex_);
  void ForgetOldest() REQUIRES_LOCK(mutex_);

  const size_t capacity_;
  mutable Mutex mutex_;
  std::unordered_map<Digest, heads::HeadPredictions, KeyHash> answers_ GUARDED_BY(mutex_);
  std::deque<Remembered> oldest_first_ GUARDED_BY(mutex_);  // the keys of answers_
};

}  // namespace emotion::classifier

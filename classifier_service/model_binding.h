// Which encoder the heads accept, and the name of the pair.
//
// Heads that state a fingerprint accept that one and no other. Heads without (the first version's
// checkpoints) take, of the encoders of their dim, the one met first, and move to another only when
// no replica of it is left. Safe from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/hash/sha256.h"
#include "common/sync/mutex.h"

namespace emotion::classifier {

class ModelBinding {
 public:
  // `stated`: what the checkpoints say, absent when they say nothing. `heads_digest`: SHA-256 of
  // the heads themselves.
  ModelBinding(std::optional<Digest> stated, uint32_t dim, const Digest& heads_digest);

  enum class Verdict { kAccepted, kMoved, kMismatch };

  // Judges an encoder. `bound_is_gone` says that no replica of the bound one answers any more;
  // only then may unstated heads move (kMoved: predictions carry another model name from now on).
  Verdict Judge(const Digest& fingerprint, uint32_t dim, bool bound_is_gone) EXCLUDES_LOCK(mutex_);

  std::optional<Digest> bound() const EXCLUDES_LOCK(mutex_);
  bool stated() const { return stated_; }

  // Short digest of encoder, preprocessing and heads: 12 hexadecimal digits; "" while none is
  // bound.
  std::string model() const EXCLUDES_LOCK(mutex_);

 private:
  void Bind(const Digest& fingerprint) REQUIRES_LOCK(mutex_);

  const bool stated_;
  const uint32_t dim_;
  const Digest heads_digest_;
  mutable Mutex mutex_;
  std::optional<Digest> bound_ GUARDED_BY(mutex_);
  std::string model_ GUARDED_BY(mutex_);
};

// The digest out of the 32 bytes of a message; nullopt for any other length.
std::optional<Digest> FingerprintFrom(const std::string& bytes);

}  // namespace emotion::classifier

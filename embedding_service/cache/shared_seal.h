// What CACHE_SECRET is for: who knows it can read and make what is shared, and nobody else.
//
// With a secret, shared keys tell nothing about images and sessions, and values and near entries
// that somebody else wrote are refused. Without one, values still carry a checksum against
// accident, and near matching is not shared. Pure; safe from any thread.
#pragma once

#include <string>
#include <string_view>

#include "embedding_service/cache/content_key.h"

namespace emotion::embedding {

class SharedSeal {
 public:
  // Empty: no secret.
  explicit SharedSeal(std::string_view cache_secret);

  bool keyed() const { return !value_key_.empty(); }

  // The key under which all tiers hold what has this content key. Without a secret the same.
  ContentKey KeyOf(const ContentKey& key) const;
  // The lane's name outside the process.
  std::string LaneName(const NearLane& lane) const;

  // Over a value's bytes: HMAC-SHA256, without a secret SHA-256.
  Digest SignValue(std::string_view bytes) const;
  // Over a near entry's bytes. REQUIRES: keyed.
  Digest SignEntry(std::string_view bytes) const;

 private:
  // Of each purpose its own, or empty.
  std::string name_key_;
  std::string value_key_;
  std::string entry_key_;
};

}  // namespace emotion::embedding

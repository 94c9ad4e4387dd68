// Who a frame belongs to, as keys that say nothing: made here, at the first door, and nowhere else.
//
// Each key is HMAC-SHA256(SESSION_SECRET, parts) cut to 16 bytes, where parts are the purpose and
// what the key stands for, each preceded by its length (4 bytes, big-endian), so that no two lists
// of parts give the same text. All gateways must share the secret, or a session that moves between
// them loses its cache. Pure functions but for the secret; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::gateway {

// What may share a cached answer (setting CACHE_SCOPE).
enum class CacheScope { kSubject, kSession, kGlobal };

// "subject", "session", "global"; FIELD_INVALID for anything else.
absl::StatusOr<CacheScope> ParseCacheScope(std::string_view name);

struct IdentityKeys {
  std::string session_key;   // 16 bytes; empty without a session
  std::string cache_scope;   // 16 bytes
  std::string fairness_key;  // 16 bytes
};

class Identity {
 public:
  // `secret` may be of any length; RandomSecret() makes one for this process alone.
  Identity(std::string secret, CacheScope scope) : secret_(std::move(secret)), scope_(scope) {}

  static std::string RandomSecret();
  // 128 random bits as 32 hexadecimal digits: a session nobody else can name.
  static std::string RandomSessionId();

  // `session_id` is valid (IsValidSessionId) or absent. Nobody signs in, so the subject is empty:
  // CACHE_SCOPE=subject then means the session and, without one, the client's address; turns in the
  // queue go by address.
  IdentityKeys KeysFor(std::optional<std::string_view> session_id,
                       std::string_view client_address) const;

  std::string SessionKey(std::string_view session_id) const;

  // What logs call a client: 12 hexadecimal digits.
  std::string LogSubject(std::string_view client_address) const;

  // 16 bytes over `purpose` and `parts`.
  std::string Key(std::string_view purpose, const std::vector<std::string_view>& parts) const;

 private:
  std::string secret_;
  CacheScope scope_;
};

// 1 to 128 of [A-Za-z0-9._:@-].
bool IsValidSessionId(std::string_view id);

}  // namespace emotion::gateway

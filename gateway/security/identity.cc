#include "gateway/security/identity.h"

#include <stdexcept>

#include <openssl/rand.h>

#include "common/error/error.h"
#include "common/hash/sha256.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"
#include "gateway/http/address.h"

namespace emotion::gateway {
namespace {

constexpr size_t kSessionIdBytes = 16;
constexpr std::string_view kNoSubject;

void AppendPart(std::string& out, std::string_view part) {
  const auto size = static_cast<uint32_t>(part.size());
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(size >> shift));
  out += part;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

}  // namespace

absl::StatusOr<CacheScope> ParseCacheScope(std::string_view name) {
  if (name == "subject") return CacheScope::kSubject;
  if (name == "session") return CacheScope::kSession;
  if (name == "global") return CacheScope::kGlobal;
  return FieldError("CACHE_SCOPE",
                    fmt::format("must be subject, session or global; was '{}'", name));
}

std::string Identity::RandomSecret() {
  std::string secret(32, '\0');
  // Without randomness no key is safe to make; this can only happen before the port is open.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()),
                 static_cast<int>(secret.size())) != 1) {
    throw std::runtime_error("no random numbers");
  }
  return secret;
}

std::string Identity::RandomSessionId() { return Hex(RandomSecret().substr(0, kSessionIdBytes)); }

std::string Identity::LogSubject(std::string_view client_address) const {
  return Hex(Key("log_subject", {AddressGroup(client_address)}).substr(0, 6));
}

std::string Identity::Key(std::string_view purpose,
                          const std::vector<std::string_view>& parts) const {
  std::string text;
  AppendPart(text, purpose);
  for (const std::string_view part : parts) AppendPart(text, part);
  const Digest digest = HmacSha256(secret_, text);
  return std::string(digest.begin(), digest.begin() + kFrameKeyBytes);
}

std::string Identity::SessionKey(std::string_view session_id) const {
  return Key("session_key", {kNoSubject, session_id});
}

IdentityKeys Identity::KeysFor(std::optional<std::string_view> session_id,
                               std::string_view client_address) const {
  const std::string address = AddressGroup(client_address);
  IdentityKeys keys;
  if (session_id) keys.session_key = SessionKey(*session_id);
  if (scope_ == CacheScope::kGlobal) {
    keys.cache_scope = Key("cache_scope", {"global"});
  } else if (session_id) {
    keys.cache_scope = Key("cache_scope", {"session", kNoSubject, *session_id});
  } else {
    keys.cache_scope = Key("cache_scope", {"address", address});
  }
  keys.fairness_key = Key("fairness_key", {"address", address});
  return keys;
}

bool IsValidSessionId(std::string_view id) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
  return !id.empty() && id.size() <= 128 &&
         id.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace emotion::gateway

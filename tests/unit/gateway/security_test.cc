#include <set>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/security/cors.h"
#include "gateway/security/identity.h"

namespace emotion::gateway {
namespace {

constexpr const char* kSecret = "0123456789abcdef";

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

// The vectors were made with Python's hmac module:
//   parts = b"".join(struct.pack(">I", len(p)) + p for p in [purpose, *parts])
//   hmac.new(secret, parts, hashlib.sha256).digest()[:16]
TEST_CASE("keys equal those of an independent implementation") {
  const Identity identity(kSecret, CacheScope::kSubject);
  const IdentityKeys keys = identity.KeysFor("user123", "192.0.2.7");
  CHECK(Hex(keys.session_key) == "8590bc4c3e33bbc0e75ba3458bc9aa5a");
  CHECK(Hex(keys.cache_scope) == "193bf3e68c2385ee69f842bbebfe94f9");
  CHECK(Hex(keys.fairness_key) == "36ba1df2d8e5465ad90dc8b060f361f2");
  CHECK(identity.SessionKey("user123") == keys.session_key);
}

TEST_CASE("without a session the cache is scoped to the address, IPv6 to its /64") {
  const Identity identity(kSecret, CacheScope::kSubject);
  const IdentityKeys keys = identity.KeysFor(std::nullopt, "192.0.2.7");
  CHECK(keys.session_key.empty());
  CHECK(Hex(keys.cache_scope) == "d003d8dce3529729a5fa46ea70780ac8");
  CHECK(Hex(identity.KeysFor(std::nullopt, "2001:db8:1:2::3").cache_scope) ==
        "13289e6a7f18a4fe48d8d3f230b90638");
}

TEST_CASE("the global scope is one for all, and the session key is not touched by it") {
  const Identity identity(kSecret, CacheScope::kGlobal);
  CHECK(Hex(identity.KeysFor("a", "192.0.2.7").cache_scope) == "cdec28236d02e368891f49fe56623bf9");
  CHECK(identity.KeysFor("a", "x").cache_scope == identity.KeysFor(std::nullopt, "y").cache_scope);
  CHECK(identity.KeysFor("a", "x").session_key != identity.KeysFor("b", "x").session_key);
}

TEST_CASE("lists of parts that read the same when joined give different keys") {
  const Identity identity(kSecret, CacheScope::kSubject);
  const std::set<std::string> keys = {identity.Key("p", {"ab", "c"}),
                                      identity.Key("p", {"a", "bc"}), identity.Key("p", {"abc"}),
                                      identity.Key("p", {"abc", ""}), identity.Key("pa", {"bc"})};
  CHECK(keys.size() == 5);
}

TEST_CASE("another secret gives other keys, and random secrets differ") {
  CHECK(Identity("x", CacheScope::kSubject).SessionKey("a") !=
        Identity("y", CacheScope::kSubject).SessionKey("a"));
  CHECK(Identity::RandomSecret() != Identity::RandomSecret());
  CHECK(Identity::RandomSecret().size() == 32);
}

TEST_CASE("the names of cache scopes are read") {
  CHECK(*ParseCacheScope("session") == CacheScope::kSession);
  CHECK(*ParseCacheScope("global") == CacheScope::kGlobal);
  CHECK(ReasonOf(ParseCacheScope("Global").status()) == Reason::kFieldInvalid);
}

Request From(std::string_view origin) {
  Request request;
  request.headers.Add("Origin", origin);
  request.headers.Add("Access-Control-Request-Method", "POST");
  return request;
}

std::string Allowed(const Cors& cors, std::string_view origin) {
  Response response;
  cors.Decorate(From(origin), response);
  return std::string(response.headers.Find("Access-Control-Allow-Origin").value_or(""));
}

TEST_CASE("only exact origins may read answers") {
  const Cors cors = Cors::Create({"http://localhost:3000", "https://example.org/"}).value();
  CHECK(Allowed(cors, "http://localhost:3000") == "http://localhost:3000");
  CHECK(Allowed(cors, "https://example.org") == "https://example.org");
  for (const char* origin :
       {"http://localhost", "http://localhost:30000", "https://example.org.evil",
        "https://a.example.org", "null", "", "HTTP://LOCALHOST:3000"}) {
    CHECK(Allowed(cors, origin).empty());
  }
  Response response;
  cors.Decorate({}, response);
  CHECK(response.headers.Find("Vary") == "Origin");
}

TEST_CASE("every origin may only when it is asked for") {
  CHECK(Allowed(Cors::Create({"*"}).value(), "https://any.where") == "*");
  CHECK_FALSE(Cors::Create({"*", "https://example.org"}).ok());
  CHECK(Allowed(Cors::Create({}).value(), "https://any.where").empty());
}

TEST_CASE("what is not an origin ends the start") {
  for (const char* origin :
       {"localhost", "https://", "https://x/path", "https://*.x.org", "://x"}) {
    CHECK(ReasonOf(Cors::Create({origin}).status()) == Reason::kFieldInvalid);
  }
}

TEST_CASE("a preflight names methods and fields to listed origins only") {
  const Cors cors = Cors::Create({"https://example.org"}).value();
  const Response yes = cors.Preflight(From("https://example.org"), "POST, OPTIONS");
  CHECK(yes.status == 204);
  CHECK(yes.headers.Find("Allow") == "POST, OPTIONS");
  CHECK(yes.headers.Find("Access-Control-Allow-Methods") == "POST, OPTIONS");
  CHECK(yes.headers.HasToken("Access-Control-Allow-Headers", "X-Session-Id"));
  CHECK(yes.headers.Find("Access-Control-Max-Age") == "600");
  const Response no = cors.Preflight(From("https://other.org"), "POST, OPTIONS");
  CHECK_FALSE(no.headers.Find("Access-Control-Allow-Methods").has_value());
}

}  // namespace
}  // namespace emotion::gateway

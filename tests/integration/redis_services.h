// Whole embedding services on a real Redis. For shared_cache_test.cc and
// shared_cache_faults_test.cc.
#pragma once

#include "tests/integration/embedding_fixture.h"

namespace emotion::embedding {

#if defined(EMOTION_SANITIZED)
inline constexpr bool kSlowMachine = true;
#else
inline constexpr bool kSlowMachine = false;
#endif

inline EmbeddingOptions On(int port, size_t cache_bytes = 16 << 20) {
  EmbeddingOptions options;
  options.cache_bytes = cache_bytes;
  options.cache_secret = "the secret of these tests";
  options.redis.emplace();
  options.redis->port = static_cast<uint16_t>(port);
  // On a slow machine a healthy Redis must not look hung.
  if (kSlowMachine) options.redis->limit = milliseconds(200);
  return options;
}

inline void AwaitUp(Server& server) {
  Stream stream(server);
  REQUIRE(stream.AwaitLoad(
      [](const v1::Load& load) { return load.shared_cache() == v1::SHARED_CACHE_UP; }));
}

}  // namespace emotion::embedding

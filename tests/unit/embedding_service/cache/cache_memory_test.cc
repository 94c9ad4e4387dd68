// What an embedding costs in memory, by malloc's own books.
#include <catch2/catch.hpp>
#include <malloc.h>

#include "common/observe/metrics.h"
#include "embedding_service/cache/local_cache.h"

namespace emotion::embedding {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMallocIsCounted = false;
#else
constexpr bool kMallocIsCounted = true;
#endif

constexpr size_t kDim = 3584;
constexpr uint32_t kFrames = 4000;

size_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

ContentKey Key(uint32_t number) {
  ContentKey key{};
  for (size_t i = 0; i < key.size(); ++i) {
    number = number * 1664525U + 1013904223U;
    key[i] = static_cast<uint8_t>(number >> 24);
  }
  return key;
}

SessionKey Session(uint32_t number) {
  const ContentKey key = Key(number + 1'000'000);
  return {reinterpret_cast<const char*>(key.data()), 16};
}

int64_t UnixNow() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

CacheStore Store(uint32_t number, uint32_t session) {
  auto value = std::make_shared<CachedEmbedding>();
  value->halves.resize(kDim * 2, 'x');
  value->encoded_at_us = UnixNow();
  return {.key = Key(number), .session = Session(session), .accepted_at_us = 1, .value = value};
}

TEST_CASE(
    "an embedding of 3584 values takes at most 7.7 KB, and the bound counts what malloc does") {
  if (!kMallocIsCounted) return;
  const bool own_session = GENERATE(true, false);
  const bool near = GENERATE(true, false);
  Metrics metrics{BuildInfo{}};
  const size_t before = AllocatedBytes();
  auto cache = std::make_unique<LocalCache>(
      LocalCache::Options{.capacity_bytes = size_t{1} << 30, .ttl = std::chrono::seconds(600)},
      metrics);
  for (uint32_t i = 0; i < kFrames; ++i) {
    // A session's frames go to one lane: most of them are no candidates any more.
    CacheStore store = Store(i, own_session ? i : i / 100);
    if (near && !own_session) {
      store.lane = NearLane(store.session + store.session);
      store.descriptor = FaceDescriptor();
    }
    cache->Store(std::move(store));
  }
  REQUIRE(cache->entries() == kFrames);
  const auto allocated = static_cast<double>(AllocatedBytes() - before);
  const auto counted = static_cast<double>(cache->bytes());
  CAPTURE(own_session, near, allocated / kFrames, counted / kFrames);
  CHECK(allocated / kFrames <= 7700);
  CHECK(allocated <= counted * 1.01);
  CHECK(allocated >= counted * 0.95);
}

TEST_CASE("descriptors are counted as malloc does") {
  if (!kMallocIsCounted) return;
  DeletionLog deletions(std::chrono::seconds(600), 100);
  const size_t before = AllocatedBytes();
  NearIndex index(size_t{1} << 30);
  const auto now = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < kFrames; ++i) {
    const SessionKey session = Session(i / 3);  // lanes of 1 to 3 frames
    index.Add({.lane = session + session, .session = session, .key = Key(i), .descriptor = {}}, now,
              now + std::chrono::seconds(20), deletions);
  }
  const auto allocated = static_cast<double>(AllocatedBytes() - before);
  const auto counted = static_cast<double>(index.bytes());
  CAPTURE(allocated, counted);
  CHECK(allocated <= counted * 1.01);
  CHECK(allocated >= counted * 0.9);
}

}  // namespace
}  // namespace emotion::embedding

#include "embedding_service/cache/local_cache.h"

#include <thread>

#include <catch2/catch.hpp>

#include "common/observe/metrics.h"

namespace emotion::embedding {
namespace {

using std::chrono::seconds;

const SessionKey kAnna(16, 'a');
const SessionKey kBert(16, 'b');

ContentKey Key(uint32_t number) {
  ContentKey key{};
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<uint8_t>((number * 2654435761U) >> (i % 24));
  key[5] = static_cast<uint8_t>(number);
  key[6] = static_cast<uint8_t>(number >> 8);
  return key;
}

struct Cache {
  explicit Cache(size_t capacity_bytes = 1 << 20, size_t shards = 4, float near_threshold = 0.95F)
      : cache({.capacity_bytes = capacity_bytes,
               .ttl = seconds(600),
               .near_threshold = near_threshold,
               .shards = shards,
               .now = [this] { return now; },
               .unix_us = [this] { return unix_us; }},
              metrics) {}

  void Store(uint32_t number, const SessionKey& session = "", int64_t accepted_at_us = 0) {
    auto value = std::make_shared<CachedEmbedding>();
    value->halves = std::string(128, static_cast<char>(number));
    value->encoded_at_us = unix_us;
    StoreValue(number, std::move(value), session, accepted_at_us);
  }
  void StoreValue(uint32_t number, std::shared_ptr<const CachedEmbedding> value,
                  const SessionKey& session = "", int64_t accepted_at_us = 0) {
    cache.Store({.key = Key(number),
                 .session = session,
                 .accepted_at_us = accepted_at_us,
                 .value = std::move(value)});
  }
  std::shared_ptr<const CachedEmbedding> Find(uint32_t number) {
    std::shared_ptr<const CachedEmbedding> found;
    cache.Lookup({.key = Key(number)}, [&](CacheFinding f) { found = std::move(f.exact); });
    return found;
  }
  void StoreNear(uint32_t number, const SessionKey& session, int64_t accepted_at_us,
                 const NearLane& lane, const FaceDescriptor& descriptor) {
    auto value = std::make_shared<CachedEmbedding>();
    value->halves = std::string(128, static_cast<char>(number));
    value->encoded_at_us = unix_us;
    cache.Store({.key = Key(number),
                 .session = session,
                 .accepted_at_us = accepted_at_us,
                 .value = std::move(value),
                 .lane = lane,
                 .descriptor = descriptor});
  }
  NearFinding FindNear(const NearLane& lane, const FaceDescriptor& descriptor) {
    NearFinding found;
    cache.LookupNear({.lane = lane, .descriptor = descriptor},
                     [&](NearFinding f) { found = std::move(f); });
    return found;
  }
  void Forget(const SessionKey& session, int64_t deleted_at_us) {
    absl::Status status = absl::UnknownError("not called");
    cache.Forget(session, deleted_at_us, [&](absl::Status s) { status = std::move(s); });
    CHECK(status.ok());
  }
  void Advance(seconds time) {
    now += time;
    unix_us += std::chrono::microseconds(time).count();
  }

  Metrics metrics{BuildInfo{}};
  std::chrono::steady_clock::time_point now{seconds(1000)};
  int64_t unix_us = 1'700'000'000'000'000;
  LocalCache cache;
};

TEST_CASE("what was stored is found under its key, and only there") {
  Cache test;
  test.Store(1);
  test.Store(2);
  REQUIRE(test.Find(1));
  CHECK(test.Find(1)->halves == std::string(128, '\1'));
  CHECK_FALSE(test.Find(3));
}

TEST_CASE("an embedding lives its lifetime from its encode, and hits do not prolong it") {
  Cache test;
  test.Store(1);
  test.Advance(seconds(599));
  CHECK(test.Find(1));
  test.Advance(seconds(1));
  CHECK_FALSE(test.Find(1));
  CHECK(test.cache.entries() == 0);
}

TEST_CASE("a value that is old already lives only the rest") {
  Cache test;
  auto old = std::make_shared<CachedEmbedding>();
  old->encoded_at_us = test.unix_us - std::chrono::microseconds(seconds(500)).count();
  test.StoreValue(1, old);
  test.Advance(seconds(99));
  CHECK(test.Find(1));
  test.Advance(seconds(1));
  CHECK_FALSE(test.Find(1));
  test.StoreValue(1, old);  // now older than the lifetime
  CHECK_FALSE(test.Find(1));
}

TEST_CASE("an encode time in the future does not prolong a life") {
  Cache test;
  auto future = std::make_shared<CachedEmbedding>();
  future->encoded_at_us = test.unix_us + std::chrono::microseconds(seconds(5000)).count();
  test.StoreValue(1, future);
  test.Advance(seconds(600));
  CHECK_FALSE(test.Find(1));
}

constexpr size_t kBytes = 400 + 128;  // of what Store stores

TEST_CASE("the bytes stay within the bound, and the least recently used go first") {
  Cache test(8 * kBytes + kBytes / 2, /*shards=*/1, /*near_threshold=*/1);
  for (uint32_t i = 1; i <= 7; ++i) test.Store(i);
  CHECK(test.Find(1));  // used again: 2 is now the oldest
  for (uint32_t i = 8; i <= 9; ++i) test.Store(i);
  CHECK(test.cache.bytes() == 8 * kBytes);
  CHECK(test.Find(1));
  CHECK_FALSE(test.Find(2));
  CHECK(test.Find(9));
  for (uint32_t i = 0; i < 1000; ++i) test.Store(i, i % 2 == 0 ? kAnna : "", 1);
  CHECK(test.cache.bytes() == 8 * kBytes);
}

TEST_CASE("a value larger than a shard is not stored and pushes nothing out") {
  Cache test(4000, /*shards=*/1);
  test.Store(1);
  auto large = std::make_shared<CachedEmbedding>();
  large->halves = std::string(8000, 'x');
  large->encoded_at_us = test.unix_us;
  test.StoreValue(2, large);
  CHECK(test.Find(1));
  CHECK_FALSE(test.Find(2));
}

TEST_CASE("a bound of 0 bytes turns the cache off") {
  Cache test(0);
  test.Store(1);
  CHECK_FALSE(test.Find(1));
  CHECK(test.cache.entries() == 0);
}

TEST_CASE("storing again under a key replaces the value and counts it once") {
  Cache test;
  test.Store(1, kAnna, 1);
  const size_t bytes = test.cache.bytes();
  test.Store(1, kAnna, 1);
  CHECK(test.cache.bytes() == bytes);
  CHECK(test.cache.entries() == 1);
}

TEST_CASE("forgetting a session drops what it stored and nothing of others") {
  Cache test;
  test.Store(1, kAnna, 100);
  test.Store(2, kAnna, 100);
  test.Store(3, kBert, 100);
  test.Store(4, "", 100);
  test.Forget(kAnna, 100);
  CHECK_FALSE(test.Find(1));
  CHECK_FALSE(test.Find(2));
  CHECK(test.Find(3));
  CHECK(test.Find(4));
}

TEST_CASE("a frame accepted before the deletion and encoded after it is not stored") {
  Cache test;
  test.Forget(kAnna, 100);
  test.Store(1, kAnna, 100);
  CHECK_FALSE(test.Find(1));
  CHECK(test.metrics.Text().find("emotion_incidents_total{kind=\"store_after_delete\"} 1") !=
        std::string::npos);
  test.Store(1, kAnna, 101);
  CHECK(test.Find(1));
}

TEST_CASE("a deletion dated in the past keeps what a reopened session stored since") {
  Cache test;
  test.Store(1, kAnna, 100);
  test.Store(2, kAnna, 300);
  test.Forget(kAnna, 200);
  CHECK_FALSE(test.Find(1));
  CHECK(test.Find(2));
}

FaceDescriptor Face(int8_t contrast) {
  std::array<int8_t, FaceDescriptor::kSide * FaceDescriptor::kSide> contrasts{};
  for (size_t i = 0; i < contrasts.size(); ++i) {
    contrasts[i] = static_cast<int8_t>(i % 7 < 3 ? contrast : -contrast);
  }
  return FaceDescriptor(contrasts);
}

const NearLane kLane(32, 'l');

TEST_CASE("a frame of the lane finds the embedding of an equal face until that is dropped") {
  Cache test;
  test.StoreNear(1, kAnna, 100, kLane, Face(30));
  const NearFinding found = test.FindNear(kLane, Face(30));
  REQUIRE(found.value);
  CHECK(found.value == test.Find(1));
  CHECK(found.similarity == 1);
  CHECK_FALSE(test.FindNear(NearLane(32, 'm'), Face(30)).value);
  CHECK_FALSE(test.FindNear(kLane, Face(-90)).value);

  test.Forget(kAnna, 100);
  CHECK_FALSE(test.FindNear(kLane, Face(30)).value);
  CHECK(test.cache.bytes() == 0);
  CHECK(test.metrics.Text().find(
            "emotion_cache_lookups_total{outcome=\"near\",tier=\"local\"} 1") != std::string::npos);
}

TEST_CASE("an embedding answers near questions for its near lifetime and exact ones for longer") {
  Cache test;
  test.StoreNear(1, kAnna, 100, kLane, Face(30));
  test.now += kNearLifetime - std::chrono::milliseconds(1);
  CHECK(test.FindNear(kLane, Face(30)).value);
  test.now += std::chrono::milliseconds(1);
  CHECK_FALSE(test.FindNear(kLane, Face(30)).value);
  CHECK(test.Find(1));
}

TEST_CASE("a threshold of 1 turns near matching off") {
  Cache test(1 << 20, 1, 1);
  test.StoreNear(1, kAnna, 100, kLane, Face(30));
  CHECK_FALSE(test.FindNear(kLane, Face(30)).value);
  CHECK(test.Find(1));
}

TEST_CASE("an embedding that was pushed out answers nobody, and the next alike does") {
  Cache test(8 * 8 * kBytes, /*shards=*/1);
  test.StoreNear(1, kAnna, 100, kLane, Face(30));
  test.StoreNear(2, kAnna, 100, kLane, Face(31));
  for (uint32_t i = 10; i < 64; ++i) test.Store(i);
  CHECK(test.Find(2));
  for (uint32_t i = 64; i < 65; ++i) test.Store(i);
  REQUIRE_FALSE(test.Find(1));
  CHECK(test.FindNear(kLane, Face(30)).value == test.Find(2));
}

TEST_CASE("storing, finding and forgetting from many threads leaves nothing of the forgotten") {
  Cache test(1 << 18);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 2000; ++i) {
        test.Store(t * 10'000 + i, i % 2 == 0 ? kAnna : kBert, i);
        test.Find(i);
        if (i % 50 == 0) test.cache.Forget(kAnna, 5000, [](const absl::Status&) {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  test.Forget(kAnna, 5000);
  test.Forget(kBert, 5000);
  CHECK(test.cache.entries() == 0);
  CHECK(test.cache.bytes() == 0);
}

}  // namespace
}  // namespace emotion::embedding

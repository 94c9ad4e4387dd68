// Replicas' caches on one Redis, without the services around them.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "common/observe/metrics.h"
#include "embedding_service/cache/tiered_cache.h"
#include "tests/fakes/eventually.h"
#include "tests/integration/redis_admin.h"

namespace emotion::embedding {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;
using testing::RedisAdmin;

inline const SessionKey kAnna(16, 'a');
inline const SessionKey kBert(16, 'b');
inline const NearLane kLane(32, 'l');
inline const std::string kSecret = "the secret of these tests";

inline int64_t UnixNow() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

inline ContentKey Key(uint32_t number) {
  ContentKey key{};
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<uint8_t>(number >> (i % 4 * 8));
  }
  key[0] = 1;
  return key;
}

// A face with stripes; equal numbers are equal faces, unlike numbers no duplicates.
inline FaceDescriptor Face(int number) {
  std::array<int8_t, FaceDescriptor::kSide * FaceDescriptor::kSide> contrasts{};
  for (size_t i = 0; i < contrasts.size(); ++i) {
    const size_t across = number % 2 == 0 ? i % 28 : i / 28;
    contrasts[i] = across / static_cast<size_t>(2 + number / 2) % 2 == 0 ? 40 : -40;
  }
  return FaceDescriptor(contrasts);
}

inline CodecIdentity Model(uint8_t number = 1, size_t dim = 64) {
  return {.fingerprint = {number}, .precision = vision::Precision::kBf16, .dim = dim};
}

inline RedisOptions RedisAt(int port) {
  RedisOptions options;
  options.port = static_cast<uint16_t>(port);
  return options;
}

struct ReplicaOptions {
  std::string secret = kSecret;
  seconds ttl{600};
  CodecIdentity model = Model();
  size_t capacity_bytes = 1 << 20;
  // A test whose subject is not speed waits as long as the machine needs.
  milliseconds limit{5000};
};

// One replica's cache; calls wait for their answers.
struct Replica {
  using Options = ReplicaOptions;

  explicit Replica(int port, Options wanted = {})
      : options(wanted), cache(std::make_unique<TieredCache>(CacheOptionsFor(port), metrics)) {
    cache->ServeModel(options.model);
    Eventually([this] { return cache->shared_state() == SharedCacheState::kUp; });
  }

  CacheOptions CacheOptionsFor(int port) const {
    RedisOptions redis = RedisAt(port);
    redis.limit = options.limit;
    return {.local = {.capacity_bytes = options.capacity_bytes, .ttl = options.ttl, .shards = 2},
            .redis = redis,
            .secret = options.secret};
  }

  CacheFinding Look(uint32_t number, const NearLane& lane = {}) {
    std::promise<CacheFinding> promise;
    cache->Lookup({.key = Key(number), .lane = lane},
                  [&](CacheFinding found) { promise.set_value(std::move(found)); });
    return promise.get_future().get();
  }
  std::shared_ptr<const CachedEmbedding> Find(uint32_t number) { return Look(number).exact; }

  NearFinding FindNear(const FaceDescriptor& face, const NearLane& lane = kLane,
                       int64_t accepted_at_us = 0) {
    constexpr uint32_t kUnknown = 999'999;
    CacheFinding looked = Look(kUnknown, lane);
    // A Redis that took longer is asked no second question: on a busy machine, once more.
    constexpr milliseconds kQuick{4};
    for (int i = 0; i < 200 && looked.shared_near && looked.shared_near->round_trip > kQuick; ++i) {
      looked = Look(kUnknown, lane);
    }
    REQUIRE_FALSE(looked.exact);
    std::promise<NearFinding> promise;
    cache->LookupNear({.lane = lane,
                       .descriptor = face,
                       .accepted_at_us = accepted_at_us,
                       .shared_near = looked.shared_near},
                      [&](NearFinding found) { promise.set_value(std::move(found)); });
    return promise.get_future().get();
  }

  std::string Halves(uint32_t number) const {
    return std::string(options.model.dim * 2, static_cast<char>(number % 100));
  }
  CacheStore Made(uint32_t number, const SessionKey& session, int64_t accepted_at_us) const {
    auto value = std::make_shared<CachedEmbedding>();
    value->halves = Halves(number);
    value->encoded_at_us = UnixNow();
    return {.key = Key(number),
            .session = session,
            .accepted_at_us = accepted_at_us,
            .value = std::move(value)};
  }
  void Store(uint32_t number, const SessionKey& session = "", int64_t accepted_at_us = UnixNow()) {
    cache->Store(Made(number, session, accepted_at_us));
  }
  void StoreNear(uint32_t number, const FaceDescriptor& face, const SessionKey& session = kAnna,
                 const NearLane& lane = kLane, int64_t accepted_at_us = UnixNow()) {
    CacheStore store = Made(number, session, accepted_at_us);
    store.lane = lane;
    store.descriptor = face;
    cache->Store(std::move(store));
  }
  absl::Status Forget(const SessionKey& session, int64_t deleted_at_us = UnixNow()) {
    std::promise<absl::Status> promise;
    cache->Forget(session, deleted_at_us,
                  [&](absl::Status status) { promise.set_value(std::move(status)); });
    return promise.get_future().get();
  }

  // Of a line of /metrics, such as R"(emotion_incidents_total{kind="cache_value_refused"})".
  int Count(const std::string& line) const {
    const std::string text = metrics.Text();
    const size_t at = text.find(line + ' ');
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + line.size() + 1));
  }
  int Refused() const { return Count(R"(emotion_incidents_total{kind="cache_value_refused"})"); }
  int Lookups(const std::string& tier, const std::string& outcome) const {
    return Count("emotion_cache_lookups_total{outcome=\"" + outcome + "\",tier=\"" + tier + "\"}");
  }

  const Options options;
  Metrics metrics{BuildInfo{}};
  std::unique_ptr<TieredCache> cache;
};

}  // namespace emotion::embedding

// Several replicas' caches share one real Redis.
#include "tests/integration/shared_cache_fixture.h"

namespace emotion::embedding {
namespace {

TEST_CASE("what one replica encoded the other finds, and keeps for itself") {
  RedisAdmin redis;
  const std::string secret = GENERATE(std::string(), kSecret);
  Replica one(redis.server.port(), {.secret = secret});
  Replica two(redis.server.port(), {.secret = secret});
  one.Store(1);
  one.Store(2, kAnna);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  for (const uint32_t number : {1U, 2U}) {
    const auto found = two.Find(number);
    REQUIRE(found);
    CHECK(found->halves == one.Halves(number));
    CHECK(two.Find(number)->halves == one.Halves(number));
  }
  CHECK_FALSE(two.Find(3));
  CHECK(two.Lookups("redis", "exact") == 2);
  CHECK(two.Lookups("local", "exact") == 2);  // the second time
  CHECK(two.Lookups("redis", "miss") == 1);
  CHECK(two.Refused() == 0);
}

TEST_CASE("a unix socket does as well as a port") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  one.Store(1);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  Metrics metrics{BuildInfo{}};
  RedisOptions by_path;
  by_path.host = redis.server.socket_path();
  TieredCache two({.local = {}, .redis = by_path, .secret = kSecret}, metrics);
  two.ServeModel(Model());
  REQUIRE(Eventually([&] { return two.shared_state() == SharedCacheState::kUp; }));
  std::promise<bool> promise;
  two.Lookup({.key = Key(1)},
             [&](CacheFinding found) { promise.set_value(found.exact != nullptr); });
  CHECK(promise.get_future().get());
}

TEST_CASE("a user of Redis who may do what docs/configuration.md says can do all that is needed") {
  RedisAdmin redis;
  redis.Do({"ACL",
            "SETUSER",
            "emotion",
            "on",
            ">open sesame",
            "~{emotion}*",
            "-@all",
            "+ping",
            "+client|setname",
            "+get",
            "+set",
            "+del",
            "+lrange",
            "+lpush",
            "+lrem",
            "+ltrim",
            "+zadd",
            "+zrem",
            "+zrangebyscore",
            "+zremrangebyscore",
            "+pexpire",
            "+pttl",
            "+eval",
            "+evalsha"});
  RedisOptions user = RedisAt(redis.server.port());
  user.username = "emotion";
  user.password = [] { return std::string("open sesame"); };
  user.limit = seconds(5);
  Replica all_rights(redis.server.port());
  Metrics metrics{BuildInfo{}};
  TieredCache cache({.local = {}, .redis = user, .secret = kSecret}, metrics);
  cache.ServeModel(Model());
  REQUIRE(Eventually([&] { return cache.shared_state() == SharedCacheState::kUp; }));
  CacheStore store = all_rights.Made(1, kAnna, UnixNow());
  store.lane = kLane;
  store.descriptor = Face(1);
  cache.Store(store);
  cache.Store(all_rights.Made(2, "", UnixNow()));
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  CHECK(all_rights.FindNear(Face(1)).value);
  std::promise<CacheFinding> looked;
  cache.Lookup({.key = Key(3), .lane = kLane}, [&](CacheFinding f) { looked.set_value(f); });
  CHECK(looked.get_future().get().shared_near);
  std::promise<void> dropped;
  cache.Lookup({.key = Key(3), .lane = kLane}, [&](CacheFinding f) {
    cache.LookupNear({.lane = kLane,
                      .descriptor = Face(2),
                      .accepted_at_us = UnixNow(),
                      .shared_near = f.shared_near},
                     [&](NearFinding) { dropped.set_value(); });
  });
  dropped.get_future().get();
  CHECK(Eventually([&] { return redis.Keys('n').empty(); }));
  std::promise<absl::Status> forgotten;
  cache.Forget(kAnna, UnixNow(), [&](absl::Status s) { forgotten.set_value(std::move(s)); });
  CHECK(forgotten.get_future().get().ok());
  CHECK(redis.Keys('x').size() == 1);
}

TEST_CASE("a near duplicate of what another replica encoded is found, the most alike of several") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  one.StoreNear(1, Face(1));
  one.StoreNear(2, Face(2));
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  const NearFinding found = two.FindNear(Face(2));
  REQUIRE(found.value);
  CHECK(found.value->halves == one.Halves(2));
  CHECK(found.similarity > 0.995F);
  CHECK_FALSE(two.FindNear(Face(3)).value);
  CHECK_FALSE(two.FindNear(Face(2), NearLane(32, 'm')).value);
  CHECK(two.Lookups("redis", "near") == 1);
  CHECK(two.Refused() == 0);
  // What was found near is ours now, and exact for its own image.
  CHECK(two.Find(2));
  CHECK(two.Lookups("local", "exact") == 1);
}

TEST_CASE("what a frame soon after shows to be fleeting answers for no replica any more") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  const int64_t began = UnixNow();
  one.StoreNear(1, Face(1), kAnna, kLane, began);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  Replica& witness = GENERATE(true, false) ? one : two;
  REQUIRE(witness.FindNear(Face(1)).value);
  CHECK_FALSE(witness.FindNear(Face(2), kLane, UnixNow()).value);
  CHECK(Eventually([&] { return redis.Keys('n').empty(); }));
  CHECK_FALSE(witness.FindNear(Face(1)).value);
  CHECK(two.Find(1));  // for its own image
}

TEST_CASE("what is fleeting leaves Redis also where another encode answers") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  const int64_t began = UnixNow();
  one.StoreNear(1, Face(1), kAnna, kLane, began - 10'000'000);
  one.StoreNear(2, Face(2), kAnna, kLane, began);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  const std::string lane = redis.Keys('n').at(0);
  REQUIRE(redis.Do({"LLEN", lane}).integer == 2);
  const NearFinding found = one.FindNear(Face(1), kLane, began + 500'000);
  REQUIRE(found.value);
  CHECK(found.value->halves == one.Halves(1));
  CHECK(found.fleeting.size() == 1);
  CHECK(Eventually([&] { return redis.Do({"LLEN", lane}).integer == 1; }));
  CHECK_FALSE(two.FindNear(Face(2)).value);
  CHECK(two.FindNear(Face(1)).value);
}

TEST_CASE(
    "without the secret nothing of faces leaves the process, and exact hits are shared still") {
  RedisAdmin redis;
  Replica one(redis.server.port(), {.secret = ""});
  Replica two(redis.server.port(), {.secret = ""});
  one.StoreNear(1, Face(1));
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  CHECK(redis.Keys('n').empty());
  CHECK_FALSE(two.FindNear(Face(1)).value);
  CHECK(one.FindNear(Face(1)).value);
  CHECK(two.Find(1));
}

TEST_CASE("nothing in Redis shows a key, a lane or a face to who lacks the secret") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  one.StoreNear(1, Face(1));
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  const FaceDescriptor face = Face(1);
  std::string all;
  for (const std::string& key : redis.Keys()) {
    all += key;
    if (key[9] == 'x' || key[9] == 'd') all += redis.Do({"GET", key}).text;
    if (key[9] == 'n') all += redis.Do({"LRANGE", key, "0", "-1"}).items.at(0).text;
    if (key[9] == 's') all += redis.Do({"ZRANGE", key, "0", "-1"}).items.at(0).text;
  }
  const ContentKey key = Key(1);
  const auto holds = [&](const void* bytes, size_t size) {
    return all.find(std::string(static_cast<const char*>(bytes), size)) != std::string::npos;
  };
  CHECK_FALSE(holds(key.data(), key.size()));
  CHECK_FALSE(holds(kLane.data(), kLane.size()));
  CHECK_FALSE(holds(face.contrasts().data(), 12));
  CHECK(holds(one.Halves(1).data(), 12));  // the scan can find
}

TEST_CASE("everything in Redis has a time to live, and dies with its embedding") {
  RedisAdmin redis;
  Replica one(redis.server.port(), {.ttl = seconds(30)});
  one.StoreNear(1, Face(1));
  one.Store(2);
  one.Store(3, kBert);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 3; }));
  CHECK(one.Forget(kBert).ok());
  const auto keys = redis.Keys();
  CHECK(keys.size() == 2 + 1 + 1 + 1);  // values, Anna's record, her lane, Bert's deletion
  for (const std::string& key : keys) {
    const int64_t left = redis.Do({"PTTL", key}).integer;
    CAPTURE(key[9], left);
    CHECK(left > 0);
    CHECK(left <= (key[9] == 'n' ? kNearLifetime.count() : 30'000));
  }
}

TEST_CASE("an embedding that is old already is shared for the rest of its life only") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  CacheStore old = one.Made(1, kAnna, UnixNow());
  auto value = std::make_shared<CachedEmbedding>(*old.value);
  value->encoded_at_us -= std::chrono::microseconds(seconds(590)).count();
  old.value = value;
  one.cache->Store(old);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  CHECK(redis.Do({"PTTL", redis.Keys('x')[0]}).integer <= 10'000);
  // Somebody who prolongs its life does not prolong its use.
  Replica brief(redis.server.port(), {.ttl = seconds(500)});
  redis.Do({"PERSIST", redis.Keys('x')[0]});
  CHECK_FALSE(brief.Find(1));
}

TEST_CASE("a value of 3584 numbers takes at most 8.4 KB of Redis") {
  RedisAdmin redis;
  Replica one(redis.server.port(), {.model = Model(1, 3584)});
  one.Store(1, kAnna);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  const int64_t bytes = redis.Do({"MEMORY", "USAGE", redis.Keys('x')[0]}).integer;
  CAPTURE(bytes);
  CHECK(bytes > 7168);
  CHECK(bytes <= 8400);
}

TEST_CASE("replicas of unlike models share nothing, and one that changes finds nothing of before") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  one.Store(1);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  // Keys hold the model too; this is a value that got under the right key all the same.
  Replica other_weights(redis.server.port(), {.model = Model(2)});
  Replica other_dim(redis.server.port(), {.model = Model(1, 32)});
  CodecIdentity precise = Model();
  precise.precision = vision::Precision::kFp32;
  Replica other_precision(redis.server.port(), {.model = precise});
  for (Replica* replica : {&other_weights, &other_dim, &other_precision}) {
    CHECK_FALSE(replica->Find(1));
    CHECK(replica->Refused() == 1);
  }
}

TEST_CASE("a small Redis that evicts loses embeddings and nothing else") {
  RedisAdmin redis({"--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"});
  Replica one(redis.server.port(), {.model = Model(1, 3584), .capacity_bytes = 32 << 20});
  Replica two(redis.server.port(), {.model = Model(1, 3584), .capacity_bytes = 1 << 20});
  constexpr uint32_t kFrames = 600;
  for (uint32_t i = 0; i < kFrames; ++i) {
    one.Store(i, kAnna);
    // Lets the sender keep up: the newest is the last to be evicted.
    if (i % 20 == 19) REQUIRE(Eventually([&] { return two.Find(i) != nullptr; }));
  }
  uint32_t found = 0;
  for (uint32_t i = 0; i < kFrames; ++i) {
    const auto value = two.Find(i);
    if (!value) continue;
    ++found;
    REQUIRE(value->halves == two.Halves(i));
  }
  CHECK(found > 10);
  CHECK(found < kFrames);
  CHECK(two.Refused() == 0);
  CHECK(one.Forget(kAnna).ok());
}

}  // namespace
}  // namespace emotion::embedding

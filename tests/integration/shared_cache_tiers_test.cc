// Several replicas' caches share one real Redis.
#include "tests/fakes/fault_proxy.h"
#include "tests/fakes/scripted_redis.h"
#include "tests/integration/shared_cache_fixture.h"

namespace emotion::embedding {
namespace {

using testing::FaultProxy;

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

TEST_CASE("a session's deletion reaches Redis and this replica, and nothing of other sessions") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  one.StoreNear(1, Face(1));
  one.Store(2, kAnna);
  one.Store(3, kBert);
  one.Store(4);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 4; }));
  Replica two(redis.server.port());
  CHECK(two.Forget(kAnna).ok());
  CHECK(redis.Keys('x').size() == 2);
  CHECK(redis.Keys('n').empty());
  CHECK(redis.Keys('s').size() == 1);
  CHECK_FALSE(two.Find(1));
  CHECK_FALSE(two.Find(2));
  CHECK(two.Find(3));
  CHECK(two.Find(4));
}

TEST_CASE("a frame that was accepted before the deletion is not stored after it, by any replica") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  const int64_t accepted = UnixNow();
  CHECK(two.Forget(kAnna, accepted).ok());
  one.Store(1, kAnna, accepted);  // this replica has not heard of it: the script refuses
  REQUIRE(Eventually(
      [&] { return one.Count(R"(emotion_incidents_total{kind="store_after_delete"})") == 1; }));
  CHECK(redis.Keys('x').empty());
  one.Store(2, kAnna, accepted + 1);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  CHECK(two.Find(2));
  // An older deletion that arrives late takes nothing back.
  CHECK(one.Forget(kAnna, accepted - 10).ok());
  one.Store(3, kAnna, accepted);
  one.Store(4, kAnna, accepted + 2);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  CHECK_FALSE(two.Find(3));
}

TEST_CASE("a session with more keys than one step takes is forgotten whole") {
  RedisAdmin redis;
  Replica one(redis.server.port(), {.model = Model(1, 4), .capacity_bytes = 4 << 20});
  constexpr uint32_t kFrames = 1300;
  for (uint32_t i = 0; i < kFrames; ++i) {
    one.Store(i, kAnna, 1000 + i);
    if (i % 50 == 49) REQUIRE(Eventually([&] { return redis.Keys('x').size() == i + 1; }));
  }
  CHECK(one.Forget(kAnna, 1000 + kFrames - 2).ok());
  CHECK(redis.Keys('x').size() == 1);
  CHECK(one.Forget(kAnna, 1000 + kFrames).ok());
  CHECK(redis.Keys('x').empty());
  CHECK(redis.Keys('s').empty());
}

TEST_CASE("an answer of Redis that crosses a deletion is neither served nor filled back") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  const int64_t accepted = UnixNow();
  one.Store(1, kAnna, accepted);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));

  FaultProxy proxy(redis.server.port());
  Replica two(proxy.port());
  proxy.Stall(true);
  std::promise<CacheFinding> answer;
  two.cache->Lookup({.key = Key(1)}, [&](CacheFinding f) { answer.set_value(std::move(f)); });
  std::promise<absl::Status> forgotten;
  two.cache->Forget(kAnna, accepted, [&](absl::Status s) { forgotten.set_value(std::move(s)); });
  proxy.Stall(false);
  CHECK_FALSE(answer.get_future().get().exact);
  CHECK(forgotten.get_future().get().ok());
  CHECK_FALSE(two.Find(1));
  CHECK(two.Lookups("local", "exact") == 0);
}

TEST_CASE("a deletion that Redis did not hear of is told again, and nothing of it is served") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  const int64_t accepted = UnixNow();
  one.StoreNear(1, Face(1), kAnna, kLane, accepted);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));

  redis.Do({"ACL", "SETUSER", "default", "-evalsha", "-eval"});
  CHECK(two.Forget(kAnna, accepted).code() == absl::StatusCode::kUnavailable);
  CHECK(two.cache->deletions_pending() == 1);
  CHECK(redis.Keys('x').size() == 1);
  CHECK_FALSE(two.Find(1));
  redis.Do({"ACL", "SETUSER", "default", "+@all"});
  REQUIRE(Eventually([&] { return two.cache->deletions_pending() == 0; }));
  CHECK(redis.Keys('x').empty());
  CHECK(redis.Keys('n').empty());
}

TEST_CASE("what Redis holds of a deleted session is not served here, exact or near") {
  RedisAdmin redis;
  FaultProxy proxy(redis.server.port());
  Replica one(redis.server.port());
  Replica two(proxy.port(), {.limit = milliseconds(200)});
  const int64_t accepted = UnixNow();
  one.StoreNear(1, Face(1), kAnna, kLane, accepted);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  // As if Redis had lost the deletion, by eviction or a restore.
  CHECK(two.Forget(kAnna, accepted).ok());
  redis.Do({"DEL", "{emotion}d" + kAnna});
  one.StoreNear(2, Face(1), kAnna, kLane, accepted);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  CHECK_FALSE(two.Find(2));
  CHECK_FALSE(two.FindNear(Face(1)).value);
  CHECK(one.Find(2));
}

TEST_CASE("a Redis that loads its data, or wants a login, is a miss and hears of deletions later") {
  const std::string error = GENERATE("-LOADING Redis is loading the dataset in memory\r\n",
                                     "-NOAUTH Authentication required.\r\n",
                                     "-MOVED 1234 192.0.2.1:6379\r\n", "-ERR something new\r\n");
  std::atomic<bool> healthy = true;
  testing::ScriptedRedis redis([&](const std::vector<std::string>& command) -> std::string {
    if (!healthy) return error;
    return command[0] == "GET" ? "$-1\r\n" : ":0\r\n";
  });
  Replica one(redis.port());
  healthy = false;
  one.Store(1, kAnna, 100);
  CHECK(one.Find(1));
  CHECK_FALSE(one.Find(2));
  CHECK(one.Forget(kAnna, 100).code() == absl::StatusCode::kUnavailable);
  CHECK_FALSE(one.Find(1));
  healthy = true;
  CHECK(Eventually([&] { return one.cache->deletions_pending() == 0; }));
}

TEST_CASE("a deletion before the model is there is kept, in Redis too") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  const int64_t accepted = UnixNow();
  one.Store(1, kAnna, accepted);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  Metrics metrics{BuildInfo{}};
  TieredCache loading({.local = {}, .redis = RedisAt(redis.server.port()), .secret = kSecret},
                      metrics);
  REQUIRE(Eventually([&] { return loading.shared_state() == SharedCacheState::kUp; }));
  std::promise<absl::Status> forgotten;
  loading.Forget(kAnna, accepted, [&](absl::Status s) { forgotten.set_value(std::move(s)); });
  CHECK(forgotten.get_future().get().ok());
  CHECK(redis.Keys('x').empty());
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

TEST_CASE("caches that store, find and forget at once end with nothing of the forgotten") {
  RedisAdmin redis;
  Replica one(redis.server.port());
  Replica two(redis.server.port());
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Replica& replica = t % 2 == 0 ? one : two;
      for (uint32_t i = 0; i < 150; ++i) {
        replica.StoreNear(i, Face(static_cast<int>(i % 4)), i % 3 == 0 ? kBert : kAnna, kLane, i);
        replica.Look((i * 7) % 150, kLane);
        if (i % 30 == 29) (void)replica.Forget(kAnna, i).ok();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(Eventually([&] { return one.Forget(kAnna, 1000).ok() && two.Forget(kAnna, 1000).ok(); }));
  CHECK(one.Forget(kBert, 1000).ok());
  CHECK(two.Forget(kBert, 1000).ok());
  // Stores that were on their way are refused when they arrive.
  CHECK(redis.Keys('x').empty());
  CHECK(redis.Keys('n').empty());
  for (uint32_t i = 0; i < 150; ++i) {
    CHECK_FALSE(one.Find(i));
    CHECK_FALSE(two.Find(i));
  }
}

}  // namespace
}  // namespace emotion::embedding

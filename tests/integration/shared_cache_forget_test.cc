// What is forgotten: of this replica's tier, of the others', and of the Redis that they share.
#include "tests/fakes/fault_proxy.h"
#include "tests/fakes/scripted_redis.h"
#include "tests/integration/shared_cache_fixture.h"

namespace emotion::embedding {
namespace {

using testing::FaultProxy;

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

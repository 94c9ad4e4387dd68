// A Redis that lies: values and lists that somebody wrote or moved, replies of other questions.
#include <cstring>

#include "embedding_service/cache/codec.h"
#include "embedding_service/cache/shared_near.h"
#include "tests/fakes/fault_proxy.h"
#include "tests/integration/shared_cache_fixture.h"

namespace emotion::embedding {
namespace {

using testing::FaultProxy;

std::string ValueName(const SharedSeal& seal, uint32_t number) {
  const ContentKey key = seal.KeyOf(Key(number));
  return "{emotion}x" + std::string(reinterpret_cast<const char*>(key.data()), key.size());
}
std::string LaneName(const SharedSeal& seal, const NearLane& lane) {
  return "{emotion}n" + seal.LaneName(lane);
}

// One replica has stored 1 (Anna's, in a lane) and 2; another looks.
struct Poisoned {
  explicit Poisoned(const std::string& secret = kSecret)
      : seal(secret),
        one(redis.server.port(), {.secret = secret}),
        two(redis.server.port(), {.secret = secret}) {
    one.StoreNear(1, Face(1));
    one.Store(2);
    REQUIRE(Eventually([&] { return redis.Keys('x').size() == 2; }));
  }

  std::string ValueOf(uint32_t number) { return redis.Do({"GET", ValueName(seal, number)}).text; }
  void SetValue(uint32_t number, const std::string& bytes) {
    redis.Do({"SET", ValueName(seal, number), bytes, "PX", "60000"});
  }
  std::string LaneEntry() { return redis.Do({"LINDEX", LaneName(seal, kLane), "0"}).text; }
  void SetLane(const NearLane& lane, const std::vector<std::string>& entries) {
    redis.Do({"DEL", LaneName(seal, lane)});
    RedisCommand push = {"RPUSH", LaneName(seal, lane)};
    push.insert(push.end(), entries.begin(), entries.end());
    redis.Do(push);
  }

  RedisAdmin redis;
  const SharedSeal seal;
  Replica one;
  Replica two;
};

TEST_CASE("another image's value under a key is refused, and so is everything that is no value") {
  Poisoned test(GENERATE(std::string(), kSecret));
  const std::string value = test.ValueOf(1);
  REQUIRE(value.size() == 160 + 128);
  std::vector<std::string> bad = {test.ValueOf(2),
                                  "",
                                  "nonsense",
                                  value.substr(0, 100),
                                  value.substr(0, value.size() - 1),
                                  value + "x",
                                  std::string(value.size(), '\0')};
  for (size_t at = 0; at < value.size(); at += 7) {
    std::string flipped = value;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    bad.push_back(flipped);
  }
  int refused = 0;
  for (const std::string& bytes : bad) {
    test.SetValue(1, bytes);
    REQUIRE_FALSE(test.two.Find(1));
    REQUIRE(test.two.Refused() == ++refused);
  }
  test.SetValue(1, value);
  CHECK(test.two.Find(1));
}

TEST_CASE("a key of another type is a miss, whatever is asked of it") {
  Poisoned test;
  test.redis.Do({"DEL", ValueName(test.seal, 2)});
  test.redis.Do({"RPUSH", ValueName(test.seal, 2), "x"});
  CHECK_FALSE(test.two.Find(2));
  CHECK(test.two.Refused() == 1);
  test.redis.Do({"DEL", LaneName(test.seal, kLane)});
  test.redis.Do({"SET", LaneName(test.seal, kLane), "x"});
  CHECK_FALSE(test.two.FindNear(Face(1)).value);
  test.redis.Do({"DEL", "{emotion}s" + kAnna});
  test.redis.Do({"SET", "{emotion}s" + kAnna, "x"});
  CHECK(test.two.Forget(kAnna).code() == absl::StatusCode::kUnavailable);
  test.redis.Do({"DEL", "{emotion}s" + kAnna});
  CHECK(test.two.Forget(kAnna).ok());
  CHECK(test.two.cache->shared_state() == SharedCacheState::kUp);
}

TEST_CASE("values that are not finite are refused, even of one who knows the secret") {
  Poisoned test;
  CacheStore store = test.one.Made(3, "", 1);
  auto value = std::make_shared<CachedEmbedding>(*store.value);
  const uint16_t nan = 0x7e00;
  std::memcpy(value->halves.data() + 20, &nan, sizeof(nan));
  store.value = value;
  test.one.cache->Store(store);
  REQUIRE(Eventually([&] { return test.redis.Keys('x').size() == 3; }));
  CHECK_FALSE(test.two.Find(3));
  CHECK(test.two.Refused() == 1);
}

TEST_CASE("who lacks the secret cannot write a value that is taken") {
  Poisoned test;
  const SharedSeal other("the secret of somebody else");
  auto value = std::make_shared<CachedEmbedding>();
  value->halves = test.one.Halves(2);
  value->encoded_at_us = UnixNow();
  for (const SharedSeal& seal : {SharedSeal(""), other}) {
    test.SetValue(2, EncodeCached(test.seal.KeyOf(Key(2)), Model(), seal, {.value = value}));
    CHECK_FALSE(test.two.Find(2));
  }
  CHECK(test.two.Refused() == 2);
}

TEST_CASE("a list of another lane, one with a bit flipped and one of nonsense find nothing") {
  Poisoned test;
  const std::string entry = test.LaneEntry();
  const NearLane of_bert(32, 'b');
  test.SetLane(of_bert, {entry});
  CHECK_FALSE(test.two.FindNear(Face(1), of_bert).value);
  CHECK(test.two.Refused() == 1);

  int refused = 1;
  for (size_t at = 0; at < entry.size(); at += 101) {
    std::string flipped = entry;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    test.SetLane(kLane, {flipped});
    REQUIRE_FALSE(test.two.FindNear(Face(1)).value);
    REQUIRE(test.two.Refused() == ++refused);
  }
  test.SetLane(kLane, {"", "nonsense", entry.substr(1), entry + "x"});
  CHECK_FALSE(test.two.FindNear(Face(1)).value);
  test.SetLane(kLane, {"nonsense", entry});
  CHECK(test.two.FindNear(Face(1)).value);
}

TEST_CASE("a lane longer than lanes are is read no further") {
  Poisoned test;
  const std::string entry = test.LaneEntry();
  test.SetLane(kLane, std::vector<std::string>(50, entry));
  CHECK(test.two.FindNear(Face(1)).value);
  CHECK(test.two.Refused() == 0);
}

TEST_CASE("an entry that points to another's embedding is refused, and one to none finds none") {
  Poisoned test;
  const std::string entry = test.LaneEntry();
  auto decoded = DecodeNearEntry(test.seal, test.seal.LaneName(kLane), entry);
  REQUIRE(decoded);
  std::string pointing = entry;
  const ContentKey other = test.seal.KeyOf(Key(2));
  std::memcpy(pointing.data() + decoded->sealed.size(), other.data(), other.size());
  test.SetLane(kLane, {pointing});
  CHECK_FALSE(test.two.FindNear(Face(1)).value);
  CHECK(test.two.Refused() == 1);

  test.SetLane(kLane, {entry});
  test.redis.Do({"DEL", ValueName(test.seal, 1)});
  CHECK_FALSE(test.two.FindNear(Face(1)).value);
}

TEST_CASE("an entry answers no longer than its lifetime, however long it is kept in Redis") {
  Poisoned test;
  auto old = DecodeNearEntry(test.seal, test.seal.LaneName(kLane), test.LaneEntry());
  REQUIRE(old);
  old->encoded_at_us -= std::chrono::microseconds(kNearLifetime).count();
  test.SetLane(kLane, {EncodeNearEntry(test.seal, test.seal.LaneName(kLane), *old)});
  CHECK_FALSE(test.two.FindNear(Face(1)).value);
  CHECK(test.two.Refused() == 0);
}

TEST_CASE("replies that belong to other questions, or to none, are never an answer") {
  Poisoned test;
  FaultProxy proxy(test.redis.server.port());
  using Fault = FaultProxy::Fault;
  for (const Fault fault : {Fault::kSwallow, Fault::kRepeat, Fault::kGarbage, Fault::kTruncate,
                            Fault::kHalf, Fault::kClose}) {
    // Without an in-process tier, so that each question goes to Redis.
    Replica reader(proxy.port(), {.capacity_bytes = 0, .limit = milliseconds(300)});
    proxy.Damage(fault);
    for (uint32_t i = 0; i < 20; ++i) {
      const uint32_t number = 1 + i % 2;
      const auto found = reader.Find(number);
      if (found) REQUIRE(found->halves == reader.Halves(number));
    }
    CHECK(proxy.damaged());
    CHECK(Eventually([&] { return reader.Find(1) != nullptr; }));
    CHECK(reader.Find(2)->halves == reader.Halves(2));
  }
}

}  // namespace
}  // namespace emotion::embedding

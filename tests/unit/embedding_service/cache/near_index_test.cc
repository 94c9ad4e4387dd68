#include "embedding_service/cache/near_index.h"

#include <thread>

#include <catch2/catch.hpp>

namespace emotion::embedding {
namespace {

using std::chrono::seconds;
using TimePoint = NearIndex::TimePoint;

const std::string kAnna(16, 'a');
const std::string kBert(16, 'b');
const NearLane kLane(32, 'l');
const TimePoint kNow = TimePoint{} + seconds(1000);
constexpr float kThreshold = 0.5F;

// Pictures of one pattern, the less alike the further their numbers are apart.
FaceDescriptor Face(int number) {
  std::array<int8_t, FaceDescriptor::kSide * FaceDescriptor::kSide> contrasts{};
  for (size_t i = 0; i < contrasts.size(); ++i) {
    const int wave =
        static_cast<int>(i % 28) + 28 * number < 28 + static_cast<int>(i / 28) ? 40 : -40;
    contrasts[i] = static_cast<int8_t>(i % 5 == 0 ? wave : static_cast<int>(i % 11) * 4 - 20);
  }
  return FaceDescriptor(contrasts);
}

ContentKey Key(int number) {
  return {static_cast<uint8_t>(number), static_cast<uint8_t>(number >> 8)};
}

struct Index {
  explicit Index(size_t capacity_bytes = 1 << 20) : near(capacity_bytes) {}
  void Add(int key, const NearLane& lane = kLane, const std::string& session = kAnna,
           int64_t accepted_at_us = 100) {
    near.Add({.lane = lane,
              .session = session,
              .accepted_at_us = accepted_at_us,
              .key = Key(key),
              .descriptor = Face(0)},
             now, now + seconds(20), deletions);
  }
  std::vector<int> Keys(const NearLane& lane = kLane) {
    std::vector<int> keys;
    for (const NearMatch& match :
         near.Find(lane, {.descriptor = Face(0)}, kThreshold, now).matches) {
      keys.push_back(match.key[0] | match.key[1] << 8);
    }
    return keys;
  }

  TimePoint now = kNow;
  DeletionLog deletions{seconds(600), 100};
  NearIndex near;
};

TEST_CASE("a lane remembers its last frames, each for its own time") {
  Index index;
  for (int i = 0; i < static_cast<int>(kNearCandidates) + 2; ++i) index.Add(i);
  CHECK(index.Keys().size() == kNearCandidates);
  const std::vector<int> keys = index.Keys();
  CHECK(std::count(keys.begin(), keys.end(), 0) == 0);
  CHECK(std::count(keys.begin(), keys.end(), 1) == 0);
  index.now += seconds(10);
  index.Add(50);
  index.now += seconds(10);
  CHECK(index.Keys() == std::vector<int>{50});
  index.now += seconds(10);
  CHECK(index.Keys().empty());
}

TEST_CASE("the most alike comes first, and what is not alike not at all") {
  Index index;
  index.near.Add({.lane = kLane, .session = kAnna, .key = Key(1), .descriptor = Face(1)}, kNow,
                 kNow + seconds(20), index.deletions);
  index.near.Add({.lane = kLane, .session = kAnna, .key = Key(2), .descriptor = Face(0)}, kNow,
                 kNow + seconds(20), index.deletions);
  const float other = Similarity(Face(0), Face(1));
  REQUIRE(other < 1);
  const auto matches = index.near.Find(kLane, {.descriptor = Face(0)}, other, kNow).matches;
  REQUIRE(matches.size() == 2);
  CHECK(matches[0].key == Key(2));
  CHECK(matches[0].similarity == 1);
  CHECK(matches[1].similarity == other);
  const auto fewer = index.near.Find(kLane, {.descriptor = Face(0)}, other + 0.001F, kNow);
  CHECK(fewer.matches.size() == 1);
  CHECK(fewer.fleeting.empty());
}

// A blink between two frames of a face at rest.
TEST_CASE("an encode that a frame soon after is unlike is forgotten, and the others stay") {
  const int64_t blink_us = 1'000'000'000;
  Index index;
  index.Add(1, kLane, kAnna, blink_us - 500'000);
  index.near.Add({.lane = kLane,
                  .session = kAnna,
                  .accepted_at_us = blink_us,
                  .key = Key(2),
                  .descriptor = Face(1)},
                 kNow, kNow + seconds(20), index.deletions);
  const FaceDescriptor rest = Face(0), blink = Face(1);
  const float threshold = Similarity(rest, blink) + 0.001F;
  const auto look = [&](const FaceDescriptor& face, int64_t accepted_at_us) {
    return index.near.Find(kLane, {face, accepted_at_us}, threshold, kNow);
  };
  const int64_t soon_us = std::chrono::microseconds(kNearFleeting).count();
  // Later it has stood for too long, before it nobody could know; who does not say when is no
  // proof.
  for (const int64_t at_us : {blink_us + soon_us, blink_us - 1, blink_us, int64_t{0}}) {
    CHECK(look(rest, at_us).fleeting.empty());
  }
  REQUIRE(look(blink, blink_us + soon_us).matches.size() == 1);

  const size_t bytes = index.near.bytes();
  const auto after = look(rest, blink_us + soon_us - 1);
  CHECK(after.fleeting == std::vector<ContentKey>{Key(2)});
  REQUIRE(after.matches.size() == 1);
  CHECK(after.matches[0].key == Key(1));
  CHECK(index.near.bytes() < bytes);
  CHECK(look(blink, blink_us + 5'000'000).matches.empty());
  CHECK(look(rest, blink_us + 5'000'000).matches.size() == 1);
}

TEST_CASE("a lane whose only encode was fleeting is gone") {
  Index index;
  index.Add(1, kLane, kAnna, 100);
  const FaceDescriptor other = Face(1);
  const auto found = index.near.Find(kLane, {other, 101}, 0.9999F, kNow);
  CHECK(found.fleeting == std::vector<ContentKey>{Key(1)});
  CHECK(index.near.bytes() == 0);
  CHECK(index.near.Find(kLane, {other, 102}, 0.9999F, kNow).fleeting.empty());
}

TEST_CASE("a frame that is encoded anew is remembered once") {
  Index index;
  index.Add(1);
  const size_t bytes = index.near.bytes();
  index.Add(1);
  CHECK(index.Keys() == std::vector<int>{1});
  CHECK(index.near.bytes() == bytes);
}

TEST_CASE(
    "forgetting a session drops its frames up to then in all its lanes and nothing of others") {
  Index index;
  const NearLane second(32, 'm');
  const NearLane of_bert(32, 'n');
  index.Add(1);
  index.Add(2, kLane, kAnna, 300);
  index.Add(3, second);
  index.Add(4, of_bert, kBert);
  index.near.Forget(kAnna, 200);
  CHECK(index.Keys() == std::vector<int>{2});
  CHECK(index.Keys(second).empty());
  CHECK(index.Keys(of_bert) == std::vector<int>{4});
  index.near.Forget(kAnna, 300);
  index.near.Forget(kBert, 300);
  CHECK(index.near.bytes() == 0);
}

TEST_CASE("a frame whose session was deleted meanwhile is not remembered") {
  Index index;
  index.deletions.Record(kAnna, 100, kNow);
  index.Add(1);
  CHECK(index.Keys().empty());
  CHECK(index.near.bytes() == 0);
  index.Add(1, kLane, kAnna, 101);
  CHECK(index.Keys().size() == 1);
}

TEST_CASE("lanes of the past leave when others come, and the bound holds") {
  Index index(20'000);
  for (int i = 0; i < 500; ++i) {
    index.Add(i, std::string(30, 'l') + static_cast<char>(i) + static_cast<char>(i >> 8), kAnna);
    REQUIRE(index.near.bytes() <= 20'000);
  }
  CHECK(index.near.bytes() > 17'000);
  index.now += seconds(20);
  index.Add(1, NearLane(32, 'z'), kBert);
  CHECK(index.near.bytes() < 2'000);

  Index off(0);
  off.Add(1);
  CHECK(off.Keys().empty());
}

TEST_CASE("adding, finding and forgetting from many threads leaves nothing of the forgotten") {
  Index index(100'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        index.Add(i + t, std::string(31, 'l') + static_cast<char>(i % 50), kAnna, i);
        if (i % 7 == 0) index.Keys(std::string(31, 'l') + static_cast<char>(i % 50));
        if (i % 25 == 0) {
          index.deletions.Record(kAnna, 1000, kNow);
          index.near.Forget(kAnna, 1000);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(index.near.bytes() == 0);
}

}  // namespace
}  // namespace emotion::embedding

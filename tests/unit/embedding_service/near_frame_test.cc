// The near lookup of a flight, with a cache that answers when the test says, on another thread.
#include <deque>
#include <fstream>
#include <future>
#include <stdexcept>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/embedding_service/pipeline_fixture.h"

namespace emotion::embedding {
namespace {

const SessionKey kBert(16, 'b');

std::string ReadFace() {
  std::ifstream file(std::string(EMOTION_TEST_DATA) + "/images/astronaut_face.jpg",
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Knows one answer for near questions, and what it was asked to store. Questions are held while the
// test wants that, and then answered by another thread.
class SlowCache final : public EmbeddingCache {
 public:
  ~SlowCache() override { Release(); }

  void Lookup(CacheQuestion question, Found found) override {
    const MutexLock lock(mutex_);
    lanes_.push_back(question.lane);
    auto value = Find(question.key);
    Later(hold_lookups_, [found = std::move(found), value] { found({.exact = value}); });
  }
  std::shared_ptr<const CachedEmbedding> Peek(const ContentKey& key) override {
    const MutexLock lock(mutex_);
    return Find(key);
  }
  void LookupNear(NearQuestion question, FoundNear found) override {
    const MutexLock lock(mutex_);
    ++near_questions_;
    asked_at_us_ = question.accepted_at_us;
    NearFinding finding;
    if (near_ && question.lane == near_lane_) finding = {.value = near_, .similarity = 0.97F};
    Later(hold_near_, [found = std::move(found), finding] { found(finding); });
  }
  void Store(CacheStore store) override {
    const MutexLock lock(mutex_);
    stores_.push_back(std::move(store));
  }
  void Forget(const SessionKey&, int64_t, Forgotten forgotten) override {
    forgotten(absl::OkStatus());
  }

  void Hold(bool lookups, bool near) {
    const MutexLock lock(mutex_);
    hold_lookups_ = lookups;
    hold_near_ = near;
  }
  void AwaitHeld(size_t questions) {
    const MutexLock lock(mutex_);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (held_.size() < questions) {
      if (!changed_.WaitUntil(mutex_, limit)) throw std::runtime_error("too few questions");
    }
  }
  // Answers what is held, on another thread.
  void Release() {
    std::deque<std::function<void()>> held;
    {
      const MutexLock lock(mutex_);
      hold_lookups_ = hold_near_ = false;
      held = std::move(held_);
      held_.clear();
    }
    std::thread([&held] {
      for (const auto& answer : held) answer();
    }).join();
  }
  // From now on frames of the lane of `store` are near to it.
  void AnswerNearWith(const CacheStore& store) {
    const MutexLock lock(mutex_);
    near_ = store.value;
    near_lane_ = store.lane;
  }

  std::vector<CacheStore> stores() const {
    const MutexLock lock(mutex_);
    return stores_;
  }
  int near_questions() const {
    const MutexLock lock(mutex_);
    return near_questions_;
  }
  // When the frame of the last near question was accepted.
  int64_t asked_at_us() const {
    const MutexLock lock(mutex_);
    return asked_at_us_;
  }
  NearLane last_lane() const {
    const MutexLock lock(mutex_);
    return lanes_.back();
  }

 private:
  std::shared_ptr<const CachedEmbedding> Find(const ContentKey& key) REQUIRES_LOCK(mutex_) {
    for (const CacheStore& store : stores_) {
      if (store.key == key) return store.value;
    }
    return nullptr;
  }
  void Later(bool hold, std::function<void()> answer) REQUIRES_LOCK(mutex_) {
    if (!hold) {
      mutex_.Unlock();
      answer();
      mutex_.Lock();
      return;
    }
    held_.push_back(std::move(answer));
    changed_.NotifyAll();
  }

  mutable Mutex mutex_;
  CondVar changed_;
  bool hold_lookups_ GUARDED_BY(mutex_) = false;
  bool hold_near_ GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> held_ GUARDED_BY(mutex_);
  std::vector<CacheStore> stores_ GUARDED_BY(mutex_);
  std::vector<NearLane> lanes_ GUARDED_BY(mutex_);
  int near_questions_ GUARDED_BY(mutex_) = 0;
  int64_t asked_at_us_ GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const CachedEmbedding> near_ GUARDED_BY(mutex_);
  NearLane near_lane_ GUARDED_BY(mutex_);
};

struct NearPipeline {
  explicit NearPipeline(FramePipeline::Options options = {}) : test(cache, options) {}

  // Anna's first picture is encoded, and every other one of hers is near to it from now on.
  FrameResult EncodeFirst() {
    FrameResult first = test.Ask(Of(kAnna, 1));
    cache.AnswerNearWith(cache.stores().back());
    return first;
  }
  static FrameRequest Of(const SessionKey& session, uint32_t picture) {
    FrameRequest request = Request(MakePng(picture));
    request.session = session;
    return request;
  }
  static FrameRequest Live(uint32_t picture, uint64_t sequence) {
    FrameRequest request = Of(kAnna, picture);
    request.sequence = sequence;
    return request;
  }

  SlowCache cache;
  Pipeline test;
};

TEST_CASE("a frame near enough to an encoded one is answered by it, without an encode or a store") {
  NearPipeline near;
  const FrameResult first = near.EncodeFirst();
  CHECK(first.outcome == Outcome::kMiss);
  const FrameResult second = near.test.Ask(NearPipeline::Of(kAnna, 2));
  REQUIRE(second.status.ok());
  CHECK(second.outcome == Outcome::kNear);
  CHECK(second.similarity == 0.97F);
  CHECK(second.embedding == first.embedding);
  CHECK(second.times.decode.count() > 0);
  CHECK(second.times.cache.count() > 0);
  CHECK(second.times.encode.count() == 0);
  CHECK(near.test.control.images == 1);
  CHECK(near.cache.stores().size() == 1);
  near.test.AwaitNothingHeld();
}

TEST_CASE("a small JPEG is decoded, and a near one answered, on the thread that brings it") {
  NearPipeline near;
  const std::string face = ReadFace();
  const auto of = [&](std::string image) {
    FrameRequest request = Request(std::move(image));
    request.session = kAnna;
    return request;
  };
  REQUIRE(near.test.Ask(of(face + "1")).outcome == Outcome::kMiss);
  near.cache.AnswerNearWith(near.cache.stores().back());

  const auto answered_by = [&](FrameRequest request) {
    std::promise<std::thread::id> thread;
    near.test.pipeline.Submit(std::move(request), [&](const FrameResult& result) {
      CHECK(result.outcome == Outcome::kNear);
      thread.set_value(std::this_thread::get_id());
    });
    return thread.get_future().get();
  };
  CHECK(answered_by(of(face + "2")) == std::this_thread::get_id());
  // What may take long is not: another format, more bytes, a larger size to bring it to.
  CHECK(answered_by(NearPipeline::Of(kAnna, 3)) != std::this_thread::get_id());
  CHECK(answered_by(of(face + std::string(16 * 1024, '3'))) != std::this_thread::get_id());
  near.test.AwaitNothingHeld();
}

TEST_CASE("what is encoded is stored with its lane and descriptor, for later frames") {
  NearPipeline near;
  near.test.Ask(NearPipeline::Of(kAnna, 1));
  REQUIRE(near.cache.stores().size() == 1);
  const CacheStore store = near.cache.stores().front();
  CHECK(store.lane.size() == 32);
  CHECK(store.lane == near.cache.last_lane());
  CHECK(store.descriptor.has_value());
}

TEST_CASE("a near question says when its frame was accepted, for what it shows to be fleeting") {
  NearPipeline near;
  FrameRequest request = NearPipeline::Of(kAnna, 1);
  request.accepted_at_us = 123'456;
  near.test.Ask(std::move(request));
  CHECK(near.cache.asked_at_us() == 123'456);
}

TEST_CASE("the quality is that of the frame itself, not of the one that answers for it") {
  NearPipeline near;
  near.EncodeFirst();
  FrameRequest dark = NearPipeline::Of(kAnna, 2);
  dark.image = testing::MakePlainPng(0);
  const FrameResult result = near.test.Ask(dark);
  CHECK(result.outcome == Outcome::kNear);
  CHECK((result.quality_warnings & 2U) != 0);  // too dark
  CHECK((result.embedding->quality_warnings & 2U) == 0);
}

TEST_CASE("near matching is for frames of a session, of the heads' size, sent once, and when on") {
  const auto has_lane = [](FrameRequest request, bool near_matching = true) {
    NearPipeline near({.near_matching = near_matching});
    near.test.Ask(std::move(request));
    return near.cache.near_questions() > 0 || !near.cache.stores().back().lane.empty();
  };
  CHECK(has_lane(NearPipeline::Of(kAnna, 1)));
  CHECK_FALSE(has_lane(NearPipeline::Of(kAnna, 1), false));
  CHECK_FALSE(has_lane(NearPipeline::Of("", 1)));
  FrameRequest request = NearPipeline::Of(kAnna, 1);
  request.resent = true;
  CHECK_FALSE(has_lane(request));
  request = NearPipeline::Of(kAnna, 1);
  request.prepare.resize = vision::ResizeMode::kNative;
  CHECK_FALSE(has_lane(request));
  request = NearPipeline::Of(kAnna, 1);
  request.cache = CacheUse::kExactOnly;
  CHECK_FALSE(has_lane(request));
}

TEST_CASE("exact only finds the very image and joins a flight of it, and no near one") {
  NearPipeline near;
  near.EncodeFirst();
  FrameRequest exact = NearPipeline::Of(kAnna, 1);
  exact.cache = CacheUse::kExactOnly;
  CHECK(near.test.Ask(exact).outcome == Outcome::kExact);
  exact.image = MakePng(2);
  Sent busy = near.test.Occupy();
  Sent first = near.test.Send(exact);
  Sent second = near.test.Send(exact);
  near.test.control.gate.Open();
  CHECK(first.Get().outcome == Outcome::kMiss);
  CHECK(second.Get().outcome == Outcome::kCoalesced);
  CHECK(near.cache.stores().back().lane.empty());
}

TEST_CASE("bypass asks nothing, encodes anew, and is stored for near matching") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest bypass = NearPipeline::Of(kAnna, 2);
  bypass.cache = CacheUse::kBypass;
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().back().descriptor.has_value());
}

TEST_CASE("bypass without near matching encodes anew, and is stored for equal bytes only") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest bypass = NearPipeline::Of(kAnna, 2);
  bypass.cache = CacheUse::kBypassExactOnly;
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().back().lane.empty());
  CHECK_FALSE(near.cache.stores().back().descriptor.has_value());
  CHECK(near.test.Ask(NearPipeline::Of(kAnna, 2)).outcome == Outcome::kExact);
}

TEST_CASE("no-store neither asks for near frames nor is found as one") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest no_store = NearPipeline::Of(kAnna, 2);
  no_store.cache = CacheUse::kNoStore;
  CHECK(near.test.Ask(no_store).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().size() == 1);
}

TEST_CASE("who joined a flight is answered by its near hit") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent first = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(1);
  Sent second = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.Release();
  CHECK(first.Get().outcome == Outcome::kNear);
  CHECK(second.Get().outcome == Outcome::kCoalesced);
  CHECK(near.test.control.images == 1);
  near.test.AwaitNothingHeld();
}

// Single flight is by image and scope: with CACHE_SCOPE=global, two sessions share one.
TEST_CASE("a near hit answers nobody of another session; the flight goes on for them") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent anna = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(1);
  Sent bert = near.test.Send(NearPipeline::Of(kBert, 2));
  FrameRequest exact = NearPipeline::Of(kAnna, 2);
  exact.cache = CacheUse::kExactOnly;
  Sent strict = near.test.Send(exact);
  near.cache.Release();
  CHECK(anna.Get().outcome == Outcome::kNear);
  const FrameResult berts = bert.Get();
  CHECK(berts.outcome == Outcome::kCoalesced);
  CHECK(berts.embedding->halves == near.test.Expected(NearPipeline::Of(kBert, 2)));
  CHECK(strict.Get().embedding == berts.embedding);
  CHECK(near.test.control.images == 2);
  near.test.AwaitNothingHeld();
}

TEST_CASE("a frame that is withdrawn or late during its near lookup is answered then") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent cancelled = near.test.Send(NearPipeline::Of(kAnna, 2));
  FrameRequest hurried = NearPipeline::Of(kAnna, 3);
  hurried.timeout = milliseconds(1000);  // enough to be decoded on a slow machine
  Sent late = near.test.Send(hurried);
  Sent patient = near.test.Send(NearPipeline::Live(4, 1));
  near.cache.AwaitHeld(3);
  near.test.pipeline.Cancel(cancelled.ticket);
  CHECK(ReasonOf(cancelled.Get().status) == Reason::kCancelled);
  CHECK(ReasonOf(late.Get().status) == Reason::kDeadline);
  near.cache.Release();
  CHECK(patient.Get().outcome == Outcome::kNear);
  near.test.AwaitNothingHeld();  // also their places in the queue
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a live frame that is being prepared goes on until a newer one is as far") {
  NearPipeline near;
  Sent busy = near.test.Occupy();
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(1, 1));
  near.cache.AwaitHeld(1);
  Sent newer = near.test.Send(NearPipeline::Live(2, 2));
  near.cache.AwaitHeld(2);
  Sent newest = near.test.Send(NearPipeline::Live(3, 3));
  CHECK(ReasonOf(newer.Get().status) == Reason::kSuperseded);  // one of a lane is enough
  near.cache.AwaitHeld(3);
  CHECK_FALSE(older.Answered());
  near.cache.Release();
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  near.test.control.gate.Open();
  CHECK(newest.Get().outcome == Outcome::kMiss);
  CHECK(busy.Get().status.ok());
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 2);
}

TEST_CASE("a live frame that is being prepared is out of date once a newer one is answered") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(2, 1));
  near.cache.AwaitHeld(1);
  SECTION("with a result") {
    Sent newer = near.test.Send(NearPipeline::Live(1, 2));
    CHECK(newer.Get().outcome == Outcome::kExact);
    CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
    near.cache.Release();
  }
  SECTION("but not with an error") {
    FrameRequest broken = NearPipeline::Live(3, 2);
    broken.image = "no image";
    CHECK(ReasonOf(near.test.Ask(broken).status) == Reason::kImageUnsupported);
    near.cache.Release();
    CHECK(older.Get().outcome == Outcome::kNear);
  }
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a live frame sent twice while it is being prepared costs one encode") {
  NearPipeline near;
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(1, 1));
  near.cache.AwaitHeld(1);
  Sent newer = near.test.Send(NearPipeline::Live(1, 2));
  near.cache.Release();
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  CHECK(newer.Get().outcome == Outcome::kCoalesced);
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a frame that is withdrawn or superseded during its exact lookup is answered then") {
  NearPipeline near;
  near.cache.Hold(true, false);
  Sent cancelled = near.test.Send(NearPipeline::Of(kAnna, 2));
  Sent older = near.test.Send(NearPipeline::Live(4, 1));
  near.test.pipeline.Cancel(cancelled.ticket);
  CHECK(ReasonOf(cancelled.Get().status) == Reason::kCancelled);
  Sent newer = near.test.Send(NearPipeline::Live(5, 2));
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  near.cache.Release();
  CHECK(newer.Get().outcome == Outcome::kMiss);
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("while frames wait for the cache the rest goes on, and identical ones still share") {
  NearPipeline near;
  near.cache.Hold(true, false);
  Sent first = near.test.Send(NearPipeline::Of(kAnna, 2));
  Sent second = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(2);
  FrameRequest other = NearPipeline::Of(kBert, 3);
  other.cache = CacheUse::kBypass;
  CHECK(near.test.Ask(other).outcome == Outcome::kMiss);
  CHECK_FALSE(first.Answered());
  near.test.control.gate.Close();
  near.cache.Release();
  near.test.control.gate.Open();
  CHECK(first.Get().status.ok());
  CHECK(second.Get().status.ok());
  CHECK(near.test.control.images == 2);
  near.test.AwaitNothingHeld();
}

TEST_CASE("stopping answers who waits for the cache at once, and waits for the cache itself") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(true, true);
  Sent looking = near.test.Send(NearPipeline::Of(kAnna, 2));
  FrameRequest request = NearPipeline::Of(kAnna, 3);
  near.cache.AwaitHeld(1);
  near.cache.Hold(false, true);
  Sent near_looking = near.test.Send(request);
  near.cache.AwaitHeld(2);
  auto stopping = std::async(std::launch::async, [&] { near.test.pipeline.Stop(); });
  CHECK(ReasonOf(looking.Get().status) == Reason::kDraining);
  CHECK(ReasonOf(near_looking.Get().status) == Reason::kDraining);
  CHECK(stopping.wait_for(milliseconds(20)) == std::future_status::timeout);
  near.cache.Release();
  stopping.get();
  CHECK(near.test.pipeline.held().flights == 0);
}

TEST_CASE("near lookups answered on another thread are each answered once, under fire") {
  NearPipeline near;
  near.EncodeFirst();
  std::vector<Sent> sent;
  for (uint32_t round = 0; round < 30; ++round) {
    near.cache.Hold(round % 3 == 0, round % 2 == 0);
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(300 * (round % 5)));
      near.cache.Release();
    });
    std::vector<Sent> these;
    for (uint32_t i = 0; i < 8; ++i) {
      FrameRequest request =
          i % 2 == 0 ? NearPipeline::Live(i + 10, round * 8 + i + 1) : NearPipeline::Of(kBert, i);
      if (i % 4 == 3) request.timeout = milliseconds(1);
      these.push_back(near.test.Send(std::move(request)));
    }
    near.test.pipeline.Cancel(these[round % 8].ticket);
    other.join();
    near.cache.Release();
    for (Sent& one : these) {
      const FrameResult result = one.Get();  // throws when answered twice or never
      if (result.status.ok()) CHECK(result.embedding != nullptr);
    }
  }
  near.test.AwaitNothingHeld();
}

}  // namespace
}  // namespace emotion::embedding

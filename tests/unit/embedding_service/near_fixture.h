// The near lookup of a flight, with a cache that answers when the test says, on another thread. For
// the near_*_test.cc beside this file.
#pragma once

#include <deque>
#include <stdexcept>
#include <thread>

#include "tests/unit/embedding_service/pipeline_fixture.h"

namespace emotion::embedding {

inline const SessionKey kBert(16, 'b');

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

}  // namespace emotion::embedding

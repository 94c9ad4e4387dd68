// BatchQueue under thousands of random operations, beside a model of it that counts by hand.
#include <algorithm>
#include <map>
#include <set>

#include "embedding_service/batching/batch_queue.h"
#include "tests/unit/embedding_service/batching/queue_words.h"

namespace emotion::embedding {
namespace {

using testing::milliseconds;
using testing::Random;
using testing::Tickets;

constexpr size_t kEncoders = 2;
constexpr BatchRules kRules = {.max_frames = 4,
                               .max_patches = 300,
                               .queue_limit = 24,
                               .patch_limit = 3000,
                               .batch_ages_after = milliseconds(40),
                               .wait_to_fill = milliseconds(3)};

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  void Step() {
    ++steps_;
    switch (random_.Below(FirstAlone() ? 6 : 12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        Reserve();
        break;
      case 4:
      case 5:
        PushOrRelease();
        break;
      case 6:
        Remove();
        break;
      case 7:
        TakeBack();
        break;
      case 8:
        queue_.Raise(AnyTicket(), now_ + milliseconds(random_.Below(60)), random_.Below(2) == 0,
                     now_);
        break;
      case 9:
        for (const Ticket ticket : queue_.TakeDead(now_)) Left(ticket);
        break;
      default:
        Encode(random_.Below(kEncoders));
    }
    now_ += milliseconds(random_.Below(FirstAlone() ? 2 : 4));
    CheckBounds();
  }

  void Finish() {
    for (const Ticket ticket : queue_.TakeAll()) Left(ticket);
    for (Held& held : reserved_) queue_.Release(std::move(held.place));
    reserved_.clear();
    CHECK(waiting_.empty());
    CHECK(queue_.frames() == 0);
    CHECK(queue_.Estimate({}, 0, now_ + std::chrono::hours(1)).ahead.count() == 0);
  }

  size_t left() const { return left_.size(); }
  size_t evictions() const { return evictions_; }
  size_t batches() const { return batches_; }

 private:
  struct Frame {
    std::string subject;
    int64_t patches = 0;
    bool alone = false;
  };
  struct Held {
    Place place;
    Frame frame;
  };

  // A few subjects; the first one is alone at times, and then fills the queue.
  bool FirstAlone() const { return steps_ / 50 % 4 == 0; }
  std::string AnySubject() { return FirstAlone() ? "0" : std::to_string(random_.Below(7)); }
  Ticket AnyTicket() { return next_ticket_ == 0 ? 0 : random_.Below(next_ticket_); }

  Work HeldBy(const std::string& subject) const {
    Work work;
    for (const Held& held : reserved_) {
      if (held.frame.subject == subject) work += Work{1, held.frame.patches};
    }
    for (const auto& [ticket, frame] : waiting_) {
      if (frame.subject == subject) work += Work{1, frame.patches};
    }
    return work;
  }
  static double Part(const Work& work) {
    return std::max(static_cast<double>(work.frames) / kRules.queue_limit,
                    static_cast<double>(work.patches) / kRules.patch_limit);
  }
  size_t Places() const { return reserved_.size() + waiting_.size(); }

  void Reserve() {
    const Frame frame{.subject = AnySubject(),
                      .patches = static_cast<int64_t>(1 + random_.Below(250)),
                      .alone = random_.Below(10) == 0};
    auto reserved = queue_.Reserve({.patches = frame.patches,
                                    .deadline = now_ + milliseconds(1 + random_.Below(2000)),
                                    .interactive = random_.Below(4) != 0,
                                    .subject = frame.subject},
                                   now_);
    if (!reserved.ok()) return;
    const Work held = HeldBy(frame.subject);
    if (reserved->evicted) {
      const std::string victim = waiting_.at(*reserved->evicted).subject;
      REQUIRE(victim != frame.subject);
      REQUIRE(Part(HeldBy(victim)) > Part(held + Work{1, frame.patches}));
      for (const auto& [ticket, other] : waiting_) {
        REQUIRE(Part(HeldBy(other.subject)) <= Part(HeldBy(victim)));
      }
      Left(*reserved->evicted);
      ++evictions_;
    } else if (held.frames > 0 && static_cast<size_t>(held.frames) < Places()) {
      REQUIRE(Part(held + Work{1, frame.patches}) <= 0.25);
    }
    reserved_.push_back({std::move(reserved->place), frame});
  }

  void PushOrRelease() {
    if (reserved_.empty()) return;
    const size_t at = random_.Below(reserved_.size());
    Held held = std::move(reserved_[at]);
    reserved_.erase(reserved_.begin() + static_cast<ptrdiff_t>(at));
    if (random_.Below(8) == 0) return queue_.Release(std::move(held.place));
    const Ticket ticket = next_ticket_++;
    held.frame.patches = 1 + static_cast<int64_t>(random_.Below(held.frame.patches));
    queue_.Push({.ticket = ticket,
                 .patches = held.frame.patches,
                 .deadline = now_ + milliseconds(random_.Below(500)),
                 .interactive = random_.Below(4) != 0,
                 .alone = held.frame.alone},
                std::move(held.place), now_);
    waiting_.emplace(ticket, held.frame);
  }

  void Remove() {
    const Ticket ticket = AnyTicket();
    const bool waits = waiting_.contains(ticket);
    REQUIRE(queue_.Remove(ticket) == waits);
    if (waits) Left(ticket);
  }

  void TakeBack() {
    const Ticket ticket = AnyTicket();
    auto place = queue_.TakeBack(ticket);
    REQUIRE(place.has_value() == waiting_.contains(ticket));
    if (!place) return;
    reserved_.push_back({*std::move(place), waiting_.at(ticket)});
    Left(ticket);
  }

  void Encode(size_t encoder) {
    if (busy_.contains(encoder)) {
      queue_.Encoded(encoder, now_, random_.Below(5) != 0);
      busy_.erase(encoder);
    }
    const Tickets batch = queue_.Take(encoder, now_);
    if (batch.empty()) return;
    busy_.insert(encoder);
    ++batches_;
    REQUIRE(batch.size() <= kRules.max_frames);
    int64_t patches = 0;
    for (const Ticket ticket : batch) {
      const Frame frame = waiting_.at(ticket);
      patches += frame.patches;
      REQUIRE((!frame.alone || batch.size() == 1));
      Left(ticket);
    }
    REQUIRE((batch.size() == 1 || patches <= kRules.max_patches));
  }

  void Left(Ticket ticket) {
    REQUIRE(waiting_.erase(ticket) == 1);
    REQUIRE(left_.insert(ticket).second);
  }

  void CheckBounds() {
    REQUIRE(queue_.frames() == Places());
    REQUIRE(queue_.frames() <= kRules.queue_limit);
    int64_t patches = 0;
    for (const Held& held : reserved_) patches += held.frame.patches;
    for (const auto& [ticket, frame] : waiting_) patches += frame.patches;
    REQUIRE((Places() == 1 || patches <= kRules.patch_limit));
    REQUIRE(queue_.empty() == waiting_.empty());
    REQUIRE(queue_.NextTake(0, now_).has_value() == !waiting_.empty());
    const WaitEstimate estimate = queue_.Estimate(AnySubject(), 64, now_);
    REQUIRE(estimate.wait.count() >= 0);
    REQUIRE(estimate.ahead >= estimate.wait);
    REQUIRE(estimate.answer >= estimate.ahead);
  }

  Random random_;
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  BatchQueue queue_{kRules, kEncoders};
  std::vector<Held> reserved_;
  std::map<Ticket, Frame> waiting_;
  std::set<Ticket> left_;
  std::set<size_t> busy_;
  Ticket next_ticket_ = 0;
  size_t steps_ = 0;
  size_t evictions_ = 0;
  size_t batches_ = 0;
};

TEST_CASE("whatever happens, every frame leaves exactly once and every bound holds") {
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    Model model(seed);
    for (int i = 0; i < 5000; ++i) model.Step();
    model.Finish();
    CHECK(model.left() > 500);
    CHECK(model.batches() > 100);
    CHECK(model.evictions() > 10);
  }
}

// A rule that looked at every waiting frame would take minutes here.
TEST_CASE("a queue of many thousands costs no more a frame than a short one") {
  testing::Queue queue({.max_frames = 8, .queue_limit = 200'000, .patch_limit = int64_t{1} << 40});
  queue.KnowPace(64, milliseconds(0));
  Random random(9);
  constexpr Ticket kFrames = 100'000;
  for (Ticket t = 0; t < kFrames; ++t) {
    const std::string subject = std::to_string(random.Below(t % 2 == 0 ? 10 : 20'000));
    queue.Fill({t}, {.timeout = milliseconds(1000 + random.Below(100'000)),
                     .interactive = t % 8 != 0,
                     .of = subject});
    queue.Wait(subject);
  }
  size_t left = 0;
  for (Ticket t = 0; t < kFrames / 2; ++t) left += queue.rules().Remove(t) ? 1 : 0;
  queue.Advance(milliseconds(50'000));
  left += queue.TakeDead().size();
  while (!queue.rules().empty()) left += queue.Encode().size();
  CHECK(left == kFrames);
}

}  // namespace
}  // namespace emotion::embedding

#include "embedding_service/batching/batch_queue.h"

#include <catch2/catch.hpp>

#include "common/error/error.h"

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kFace = 64;  // patches of a 112x112 image

// The words of the rules: frames arrive, time passes, the encoder takes.
class Queue {
 public:
  explicit Queue(BatchRules rules = {.max_frames = 4, .max_patches = 1024, .queue_limit = 8})
      : queue_(rules) {}

  struct Frame {
    int64_t patches = kFace;
    milliseconds timeout{10'000};
    bool interactive = true;
    bool alone = false;
  };

  // Reserves and pushes; the ticket is `ticket`.
  absl::Status Submit(Ticket ticket, Frame frame) {
    auto reserved = Reserve(frame.patches, frame.timeout);
    if (reserved.ok()) Push(ticket, frame, std::move(reserved->place));
    return reserved.status();
  }
  absl::Status Submit(Ticket ticket) { return Submit(ticket, Frame{}); }
  absl::StatusOr<Reservation> Reserve(int64_t patches, milliseconds timeout) {
    return queue_.Reserve({.patches = patches, .deadline = now_ + timeout}, now_);
  }
  void Push(Ticket ticket, Frame frame, Place place) {
    queue_.Push({.ticket = ticket,
                 .patches = frame.patches,
                 .deadline = now_ + frame.timeout,
                 .interactive = frame.interactive,
                 .alone = frame.alone},
                std::move(place), now_);
  }
  void Advance(milliseconds time) { now_ += time; }
  std::vector<Ticket> Take() { return queue_.Take(now_); }
  std::vector<Ticket> TakeDead() { return queue_.TakeDead(now_); }
  void Encoded() { queue_.Encoded(now_, true); }
  // One encode of `patches` that takes `time`: the pace is known from then on.
  void MeasurePace(int64_t patches, milliseconds time) {
    REQUIRE(Submit(999, {.patches = patches}).ok());
    REQUIRE(Take().size() == 1);
    Advance(time);
    Encoded();
  }
  milliseconds Wait() { return std::chrono::round<milliseconds>(queue_.EstimateWait(now_)); }
  milliseconds Answer(int64_t patches) {
    return std::chrono::round<milliseconds>(queue_.EstimateAnswer(patches, now_));
  }
  BatchQueue& rules() { return queue_; }
  TimePoint now() const { return now_; }

 private:
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  BatchQueue queue_;
};

using Tickets = std::vector<Ticket>;

TEST_CASE("a free encoder takes one frame at once, without waiting for a fuller batch") {
  Queue queue;
  REQUIRE(queue.Submit(1).ok());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("the encoder takes what waits, oldest first, up to the batch size") {
  Queue queue;
  for (Ticket t : {1, 2, 3, 4, 5, 6}) REQUIRE(queue.Submit(t).ok());
  CHECK(queue.Take() == Tickets{1, 2, 3, 4});
  queue.Encoded();
  CHECK(queue.Take() == Tickets{5, 6});
  queue.Encoded();
  CHECK(queue.Take().empty());
}

TEST_CASE("a batch holds no more patches than its budget; smaller frames behind go along") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.patches = 600}).ok());
  REQUIRE(queue.Submit(2, {.patches = 600}).ok());
  REQUIRE(queue.Submit(3, {.patches = 424}).ok());
  CHECK(queue.Take() == Tickets{1, 3});
  queue.Encoded();
  CHECK(queue.Take() == Tickets{2});
}

TEST_CASE("a frame over the whole budget is encoded, alone") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.patches = 5000}).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("a resent frame is encoded alone, also when it was not the oldest") {
  Queue queue;
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Submit(2, {.alone = true}).ok());
  REQUIRE(queue.Submit(3).ok());
  CHECK(queue.Take() == Tickets{1, 3});
  queue.Encoded();
  REQUIRE(queue.Submit(4).ok());
  CHECK(queue.Take() == Tickets{2});
  queue.Encoded();
  CHECK(queue.Take() == Tickets{4});
}

TEST_CASE("batch work goes after interactive frames until it has waited two seconds") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.interactive = false}).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{2});
  queue.Encoded();
  queue.Advance(milliseconds(1999));
  REQUIRE(queue.Submit(3).ok());
  CHECK(queue.Take() == Tickets{3});
  queue.Encoded();
  queue.Advance(milliseconds(1));
  REQUIRE(queue.Submit(4).ok());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("batch work fills what interactive frames leave of a batch") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.interactive = false}).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take().size() == 2);
}

TEST_CASE("a frame whose deadline passed never reaches the encoder") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(50)}).ok());
  REQUIRE(queue.Submit(2).ok());
  queue.Advance(milliseconds(50));
  CHECK(queue.Take() == Tickets{2});
  CHECK(queue.TakeDead() == Tickets{1});
  CHECK(queue.TakeDead().empty());
  CHECK(queue.rules().empty());
}

TEST_CASE("a removed frame is neither taken nor dead, and its place is free again") {
  Queue queue({.queue_limit = 1});
  REQUIRE(queue.Submit(1).ok());
  CHECK(queue.rules().Remove(1));
  CHECK_FALSE(queue.rules().Remove(1));
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{2});
}

TEST_CASE("a waiter who joins lends the frame its later deadline and its priority") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(50), .interactive = false}).ok());
  REQUIRE(queue.Submit(2).ok());
  queue.rules().Raise(1, queue.now() + milliseconds(500), true);
  queue.Advance(milliseconds(100));
  CHECK(queue.TakeDead().empty());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("a full queue refuses at once and says when to come again") {
  Queue queue;
  queue.MeasurePace(kFace, milliseconds(100));
  for (Ticket t = 1; t <= 8; ++t) REQUIRE(queue.Submit(t).ok());
  const absl::Status status = queue.Submit(9);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(ReasonOf(status) == Reason::kQueueFull);
  CHECK(RetryDelayOf(status) == milliseconds(800));
}

TEST_CASE("large frames fill the queue by their patches; one alone always gets in") {
  Queue queue({.queue_limit = 8, .patch_limit = 1000});
  REQUIRE(queue.Submit(1, {.patches = 5000}).ok());
  CHECK(ReasonOf(queue.Submit(2)) == Reason::kQueueFull);
  REQUIRE(queue.Take() == Tickets{1});
  REQUIRE(queue.Submit(3, {.patches = 600}).ok());
  auto reserved = queue.Reserve(400, milliseconds(1000));
  REQUIRE(reserved.ok());
  CHECK(ReasonOf(queue.Submit(4, {.patches = 1})) == Reason::kQueueFull);
  queue.rules().Release(std::move(reserved->place));
  CHECK(queue.Submit(4, {.patches = 400}).ok());
}

TEST_CASE("reserved places count as taken until they are released") {
  Queue queue({.queue_limit = 2});
  auto first = queue.Reserve(kFace, milliseconds(1000));
  REQUIRE(first.ok());
  REQUIRE(queue.Reserve(kFace, milliseconds(1000)).ok());
  CHECK_FALSE(queue.Reserve(kFace, milliseconds(1000)).ok());
  queue.rules().Release(std::move(first->place));
  CHECK(queue.Reserve(kFace, milliseconds(1000)).ok());
}

TEST_CASE("a frame that could not be answered by its deadline is refused at the door") {
  Queue queue;
  queue.MeasurePace(kFace, milliseconds(100));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Submit(3, {.timeout = milliseconds(300)}).ok());
  const absl::Status late = queue.Submit(4, {.timeout = milliseconds(399)});
  CHECK(ReasonOf(late) == Reason::kQueueFull);
  CHECK(RetryDelayOf(late) == milliseconds(300));
}

TEST_CASE("an idle encoder takes any frame, so a slow encode cannot keep all away for ever") {
  Queue queue;
  queue.MeasurePace(kFace, milliseconds(60'000));
  CHECK(queue.Submit(1, {.timeout = milliseconds(1000)}).ok());
  CHECK_FALSE(queue.Submit(2, {.timeout = milliseconds(1000)}).ok());
}

TEST_CASE("the estimate counts waiting, reserved and running work, and shrinks as it runs") {
  Queue queue;
  queue.MeasurePace(kFace, milliseconds(100));
  CHECK(queue.Wait() == milliseconds(0));
  CHECK(queue.Answer(2 * kFace) == milliseconds(200));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Reserve(kFace, milliseconds(10'000)).ok());
  CHECK(queue.Wait() == milliseconds(200));
  REQUIRE(queue.Take() == Tickets{1});
  CHECK(queue.Wait() == milliseconds(200));
  queue.Advance(milliseconds(60));
  CHECK(queue.Wait() == milliseconds(140));
  queue.Advance(milliseconds(500));  // slower than ever: nothing is known but that it is late
  CHECK(queue.Wait() == milliseconds(100));
}

TEST_CASE("a failed encode says nothing of the pace") {
  Queue queue;
  queue.MeasurePace(kFace, milliseconds(100));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Take() == Tickets{1});
  queue.Advance(milliseconds(5000));
  queue.rules().Encoded(queue.now(), false);
  CHECK(queue.Answer(kFace) == milliseconds(100));
}

TEST_CASE("after the device ran out of memory batches stay small for a while") {
  Queue queue;
  queue.rules().LimitBatch(1, queue.now() + milliseconds(1000));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{1});
  queue.Encoded();
  REQUIRE(queue.Submit(3).ok());
  queue.Advance(milliseconds(1000));
  CHECK(queue.Take() == Tickets{2, 3});
}

TEST_CASE("every frame leaves the queue exactly once, whatever happens to it") {
  Queue queue({.max_frames = 3, .max_patches = 200, .queue_limit = 50});
  uint64_t random = 12345;
  const auto next = [&](uint64_t below) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random >> 33) % below;
  };
  std::vector<int> left(2000, 0);
  size_t pushed = 0;
  for (Ticket ticket = 0; ticket < left.size(); ++ticket) {
    const Queue::Frame frame{.patches = static_cast<int64_t>(1 + next(250)),
                             .timeout = milliseconds(1 + next(60)),
                             .interactive = next(3) > 0,
                             .alone = next(9) == 0};
    if (queue.Submit(ticket, frame).ok()) {
      ++pushed;
    } else {
      left[ticket] = 1;
    }
    if (next(5) == 0) left[ticket / 2] += queue.rules().Remove(ticket / 2) ? 1 : 0;
    if (next(3) == 0) {
      for (Ticket t : queue.Take()) ++left[t];
      queue.Advance(milliseconds(next(7)));
      queue.Encoded();
    }
    for (Ticket t : queue.TakeDead()) ++left[t];
  }
  for (Ticket t : queue.rules().TakeAll()) ++left[t];
  CHECK(pushed > 500);
  CHECK(left == std::vector<int>(left.size(), 1));
  CHECK(queue.rules().frames() == 0);
  CHECK(queue.Wait() == milliseconds(0));
}

}  // namespace
}  // namespace emotion::embedding

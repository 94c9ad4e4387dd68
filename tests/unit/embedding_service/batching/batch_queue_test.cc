#include "embedding_service/batching/batch_queue.h"

#include "tests/unit/embedding_service/batching/queue_words.h"

namespace emotion::embedding {
namespace {

using testing::kFace;
using testing::milliseconds;
using testing::Queue;
using testing::Tickets;

TEST_CASE("a free encoder takes one frame at once, without waiting for a fuller batch") {
  Queue queue;
  REQUIRE(queue.Submit(1).ok());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("the encoder takes what waits, oldest first, up to the batch size") {
  Queue queue;
  for (Ticket t : {1, 2, 3, 4, 5, 6}) REQUIRE(queue.Submit(t).ok());
  CHECK(queue.Encode() == Tickets{1, 2, 3, 4});
  CHECK(queue.Encode() == Tickets{5, 6});
  CHECK(queue.Take().empty());
}

TEST_CASE("a frame over the whole budget is encoded, alone") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.patches = 5000}).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("batch work goes after interactive frames until two seconds after it came") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.interactive = false, .of = "anna"}).ok());
  REQUIRE(queue.Submit(2, {.of = "ben"}).ok());
  CHECK(queue.Encode() == Tickets{2});
  queue.Advance(milliseconds(1999));
  REQUIRE(queue.Submit(3, {.of = "cleo"}).ok());
  CHECK(queue.Encode() == Tickets{3});
  queue.Advance(milliseconds(1));
  REQUIRE(queue.Submit(4, {.of = "dora"}).ok());
  CHECK(queue.Encode() == Tickets{1});
}

TEST_CASE("time in the decoder counts for the age of batch work") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  auto reserved = queue.Reserve({.interactive = false, .of = "anna"});
  queue.Advance(milliseconds(2000));
  REQUIRE(queue.Submit(2, {.of = "ben"}).ok());
  queue.Push(1, {.interactive = false}, std::move(reserved->place));
  CHECK(queue.Encode() == Tickets{1});
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

TEST_CASE("a frame that would be encoded too late takes nobody's slot, only one that is left") {
  Queue queue({.max_frames = 2, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(199)}).ok());
  REQUIRE(queue.Submit(2).ok());
  REQUIRE(queue.Submit(3, {.timeout = milliseconds(201)}).ok());
  queue.KnowPace(kFace, milliseconds(100));  // a batch of two takes 200 ms
  CHECK(queue.Take() == Tickets{2, 3});
  queue.Encoded();
  CHECK(queue.Encode() == Tickets{1});
}

TEST_CASE("a removed frame is neither taken nor dead, and its place is free again") {
  Queue queue({.queue_limit = 1});
  REQUIRE(queue.Submit(1).ok());
  CHECK(queue.rules().Remove(1));
  CHECK_FALSE(queue.rules().Remove(1));
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take() == Tickets{2});
}

TEST_CASE("a batch holds no more patches than its budget; smaller frames of others go along") {
  Queue queue;
  REQUIRE(queue.Submit(1, {.patches = 600, .of = "a"}).ok());
  REQUIRE(queue.Submit(2, {.patches = 600, .of = "b"}).ok());
  REQUIRE(queue.Submit(3, {.patches = 424, .of = "c"}).ok());
  CHECK(queue.Encode() == Tickets{1, 3});
  REQUIRE(queue.Submit(4, {.patches = 424, .of = "d"}).ok());
  CHECK(queue.Encode() == Tickets{2, 4});
  REQUIRE(queue.Submit(5, {.patches = 600}).ok());
  REQUIRE(queue.Submit(6, {.patches = 425}).ok());
  CHECK(queue.Encode() == Tickets{5});
  CHECK(queue.Encode() == Tickets{6});
}

TEST_CASE("a resent frame is encoded alone, also when it was not the first in line") {
  Queue queue;
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Submit(2, {.alone = true}).ok());
  REQUIRE(queue.Submit(3).ok());
  CHECK(queue.Encode() == Tickets{1, 3});
  REQUIRE(queue.Submit(4).ok());
  CHECK(queue.Encode() == Tickets{2});
  CHECK(queue.Encode() == Tickets{4});
}

TEST_CASE("a waiter who joins lends the frame its later deadline and its priority") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(50), .interactive = false}).ok());
  REQUIRE(queue.Submit(2, {.timeout = milliseconds(50), .interactive = false}).ok());
  queue.Raise(2, milliseconds(500), true);
  queue.Raise(12345, milliseconds(500), true);  // no effect: no such frame
  REQUIRE(queue.Submit(3).ok());
  queue.Advance(milliseconds(100));
  CHECK(queue.TakeDead() == Tickets{1});
  CHECK(queue.Encode() == Tickets{2});
  CHECK(queue.Encode() == Tickets{3});
}

TEST_CASE("a waiter with less patience and lower priority takes nothing away") {
  Queue queue({.max_frames = 1, .queue_limit = 8});
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(500)}).ok());
  queue.Raise(1, milliseconds(50), false);
  queue.Advance(milliseconds(499));
  CHECK(queue.TakeDead().empty());
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("a full queue refuses at once and says when the work in it will be done") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(100));
  queue.Fill({1, 2, 3, 4, 5, 6, 7, 8}, {});
  const absl::Status status = queue.Submit(9);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(ReasonOf(status) == Reason::kQueueFull);
  CHECK(RetryDelayOf(status) == milliseconds(800));
}

TEST_CASE("large frames fill the queue by their patches; one alone always gets in") {
  Queue queue({.queue_limit = 8, .patch_limit = 1000});
  REQUIRE(queue.Submit(1, {.patches = 5000}).ok());
  CHECK(ReasonOf(queue.Submit(2)) == Reason::kQueueFull);
  CHECK(queue.Encode() == Tickets{1});
  REQUIRE(queue.Submit(3, {.patches = 600}).ok());
  auto reserved = queue.Reserve({.patches = 400});
  REQUIRE(reserved.ok());
  CHECK(ReasonOf(queue.Submit(4, {.patches = 1})) == Reason::kQueueFull);
  queue.rules().Release(std::move(reserved->place));
  CHECK(queue.Submit(4, {.patches = 400}).ok());
}

TEST_CASE("reserved places count as taken until they are released, once") {
  Queue queue({.queue_limit = 2});
  auto first = queue.Reserve({});
  REQUIRE(first.ok());
  REQUIRE(queue.Reserve({}).ok());
  CHECK_FALSE(queue.Reserve({}).ok());
  Place place = std::move(first->place);
  queue.rules().Release(std::move(first->place));  // NOLINT(bugprone-use-after-move): holds nothing
  CHECK(queue.rules().frames() == 2);
  queue.rules().Release(std::move(place));
  CHECK(queue.rules().frames() == 1);
  CHECK(queue.Reserve({}).ok());
}

TEST_CASE("a frame that turns out larger or smaller than reserved counts as it is") {
  Queue queue({.queue_limit = 8, .patch_limit = 1000});
  auto reserved = queue.Reserve({.patches = 1000});
  REQUIRE(reserved.ok());
  queue.Push(1, {.patches = 100}, std::move(reserved->place));
  REQUIRE(queue.Submit(2, {.patches = 900}).ok());
  CHECK_FALSE(queue.Submit(3, {.patches = 1}).ok());
}

TEST_CASE("a place that is taken back keeps its turn for another frame") {
  Queue queue({.max_frames = 1, .queue_limit = 3});
  queue.Fill({1, 2, 3}, {});
  std::optional<Place> place = queue.rules().TakeBack(1);
  REQUIRE(place);
  CHECK_FALSE(queue.rules().TakeBack(1));
  CHECK_FALSE(queue.rules().Remove(1));
  CHECK_FALSE(queue.Submit(4).ok());  // the place is taken still
  queue.Push(5, {}, *std::move(place));
  CHECK(queue.Encode() == Tickets{5});
  CHECK(queue.Encode() == Tickets{2});
}

TEST_CASE("a frame that could not be answered by its deadline is refused at the door") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(100));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Submit(3, {.timeout = milliseconds(300)}).ok());  // one batch with 1 and 2
  const absl::Status late = queue.Submit(4, {.timeout = milliseconds(399)});
  CHECK(ReasonOf(late) == Reason::kQueueFull);
  CHECK(RetryDelayOf(late) == milliseconds(300));
  CHECK(queue.Submit(4, {.timeout = milliseconds(400)}).ok());
  CHECK_FALSE(queue.Submit(5, {.timeout = milliseconds(499)}).ok());  // behind a full batch
  CHECK(queue.Submit(5, {.timeout = milliseconds(500)}).ok());
}

TEST_CASE("an idle encoder takes any frame, so a slow encode cannot keep all away for ever") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(60'000));
  CHECK(queue.Submit(1, {.timeout = milliseconds(1000)}).ok());
  CHECK_FALSE(queue.Submit(2, {.timeout = milliseconds(1000)}).ok());
  REQUIRE(queue.Take() == Tickets{1});
  CHECK_FALSE(queue.Submit(2, {.timeout = milliseconds(1000)}).ok());
  queue.Encoded();
  CHECK(queue.Submit(2, {.timeout = milliseconds(1000)}).ok());
}

TEST_CASE("a frame waits for full batches ahead and for the running one, not for its own batch") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(100));
  CHECK(queue.Wait() == milliseconds(0));
  CHECK(queue.Answer(2 * kFace) == milliseconds(200));
  queue.Fill({1, 2}, {});
  REQUIRE(queue.Reserve({}).ok());  // one that is still being decoded
  CHECK(queue.Wait() == milliseconds(0));
  CHECK(queue.Answer(kFace) == milliseconds(400));
  REQUIRE(queue.Take() == Tickets{1, 2});
  CHECK(queue.Wait() == milliseconds(200));
  queue.Advance(milliseconds(60));
  CHECK(queue.Wait() == milliseconds(140));
  queue.Fill({3, 4, 5}, {});
  CHECK(queue.Wait() == milliseconds(540));
  CHECK(queue.Answer(kFace) == milliseconds(640));
  queue.Advance(milliseconds(500));  // slower than ever: nothing is known but that it is late
  CHECK(queue.Wait() == milliseconds(400));
}

TEST_CASE("batch work waits for all interactive frames, which do not wait for it") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(100));
  queue.Fill({1, 2, 3, 4}, {.interactive = false});
  CHECK(queue.Wait() == milliseconds(0));
  queue.Fill({5, 6, 7}, {});
  CHECK_FALSE(queue.Submit(8, {.timeout = milliseconds(799), .interactive = false}).ok());
  CHECK(queue.Submit(8, {.timeout = milliseconds(800), .interactive = false}).ok());
}

TEST_CASE("a failed encode says nothing of the pace") {
  Queue queue;
  queue.KnowPace(kFace, milliseconds(100));
  REQUIRE(queue.Submit(1).ok());
  REQUIRE(queue.Take() == Tickets{1});
  queue.Advance(milliseconds(5000));
  queue.rules().Encoded(0, queue.now(), false);
  CHECK(queue.Answer(kFace) == milliseconds(100));
}

TEST_CASE("several encoders share the work ahead, each batch going to the one that is free first") {
  Queue queue({.max_frames = 1, .queue_limit = 8}, 2);
  queue.KnowPace(kFace, milliseconds(100));
  queue.Fill({1, 2, 3, 4}, {});
  REQUIRE(queue.Take(0) == Tickets{1});
  CHECK(queue.Wait() == milliseconds(200));  // 3 frames before it, one encoder free
  queue.Advance(milliseconds(30));
  REQUIRE(queue.Take(1) == Tickets{2});
  CHECK(queue.Wait() == milliseconds(170));  // they are free after 70 and after 100 ms
  queue.Encoded(0);
  CHECK(queue.Take(0) == Tickets{3});
}

TEST_CASE("one of two encoders being idle is enough to take any frame") {
  Queue queue({.queue_limit = 8}, 2);
  queue.KnowPace(kFace, milliseconds(60'000));
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(10)}).ok());
  REQUIRE(queue.Take(1) == Tickets{1});
  REQUIRE(queue.Submit(2, {.timeout = milliseconds(10)}).ok());
  REQUIRE(queue.Take(0) == Tickets{2});
  CHECK_FALSE(queue.Submit(3, {.timeout = milliseconds(10)}).ok());
}

TEST_CASE("after one device ran out of memory its batches stay small for a while") {
  Queue queue({.max_frames = 4, .queue_limit = 8}, 2);
  queue.rules().LimitBatch(0, 1, queue.now() + milliseconds(1000));
  queue.Fill({1, 2, 3, 4}, {});
  CHECK(queue.Take(0) == Tickets{1});
  CHECK(queue.Take(1) == Tickets{2, 3, 4});
  queue.Encoded(0);
  queue.Encoded(1);
  queue.Fill({5, 6}, {});
  queue.Advance(milliseconds(1000));
  CHECK(queue.Take(0) == Tickets{5, 6});
}

TEST_CASE("with a wait set, a batch that is not full waits from its oldest frame's arrival") {
  Queue queue({.max_frames = 3, .queue_limit = 8, .wait_to_fill = milliseconds(20)});
  CHECK_FALSE(queue.rules().NextTake(0, queue.now()));
  REQUIRE(queue.Submit(1).ok());
  CHECK(queue.Take().empty());
  CHECK(queue.rules().NextTake(0, queue.now()) == queue.now() + milliseconds(20));
  queue.Advance(milliseconds(19));
  REQUIRE(queue.Submit(2).ok());
  CHECK(queue.Take().empty());
  queue.Advance(milliseconds(1));
  CHECK(queue.Encode() == Tickets{1, 2});
  queue.Fill({3, 4, 5}, {});
  CHECK(queue.Encode() == Tickets{3, 4, 5});  // full: at once
  REQUIRE(queue.Submit(6, {.patches = 1024}).ok());
  CHECK(queue.Encode() == Tickets{6});  // full by its patches
  REQUIRE(queue.Submit(7, {.alone = true}).ok());
  CHECK(queue.Encode() == Tickets{7});  // no one will join it
}

TEST_CASE("no batch waits past the moment at which it must start to meet a deadline") {
  Queue queue({.max_frames = 3, .queue_limit = 8, .wait_to_fill = milliseconds(500)});
  queue.KnowPace(kFace, milliseconds(100));
  REQUIRE(queue.Submit(1, {.timeout = milliseconds(300)}).ok());
  queue.Advance(milliseconds(199));
  CHECK(queue.Take().empty());
  queue.Advance(milliseconds(1));
  CHECK(queue.Take() == Tickets{1});
}

TEST_CASE("no amount of work and no pace overflows an estimate") {
  Queue queue({.max_frames = 1, .queue_limit = 1000, .patch_limit = int64_t{1} << 50});
  queue.KnowPace(1, std::chrono::hours(10));
  for (Ticket t = 1; t <= 500; ++t) {
    auto reserved = queue.rules().Reserve({.patches = int64_t{1} << 40,
                                           .deadline = TimePoint::max(),
                                           .subject = std::to_string(t / 2)},
                                          queue.now());
    REQUIRE(reserved.ok());
  }
  CHECK(queue.Wait("7") >= std::chrono::hours(24));
  CHECK(queue.Wait("new") >= std::chrono::hours(24));
}

TEST_CASE("when the service ends everything that waits comes back once") {
  Queue queue;
  queue.Fill({1, 2}, {.of = "a"});
  queue.Fill({3}, {.interactive = false, .of = "b"});
  CHECK(queue.rules().TakeAll() == Tickets{1, 2, 3});
  CHECK(queue.rules().TakeAll().empty());
  CHECK(queue.rules().frames() == 0);
}

}  // namespace
}  // namespace emotion::embedding

#include "embedding_service/batching/batch_queue.h"
#include "tests/unit/embedding_service/batching/queue_words.h"

namespace emotion::embedding {
namespace {

using testing::kFace;
using testing::milliseconds;
using testing::Queue;
using testing::Tickets;

constexpr BatchRules kEight = {.max_frames = 1, .queue_limit = 8};

TEST_CASE("alone, a subject may fill the queue") {
  Queue queue(kEight);
  queue.Fill({1, 2, 3, 4, 5, 6, 7, 8}, {.of = "anna"});
  CHECK_FALSE(queue.Submit(9, {.of = "anna"}).ok());
  CHECK(queue.evicted().empty());
}

TEST_CASE("while others have a place a subject may hold a quarter of the queue") {
  Queue queue(kEight);
  auto bens = queue.Reserve({.of = "ben"});
  queue.Fill({1, 2}, {.of = "anna"});
  const absl::Status third = queue.Submit(3, {.of = "anna"});
  CHECK(ReasonOf(third) == Reason::kQueueFull);
  queue.rules().Release(std::move(bens->place));
  CHECK(queue.Submit(3, {.of = "anna"}).ok());
}

TEST_CASE("a quarter of a small queue is one place, and of patches one image, however large") {
  Queue queue({.max_frames = 1, .queue_limit = 3, .patch_limit = 1000});
  queue.Fill({1}, {.of = "ben"});
  CHECK(queue.Submit(2, {.patches = 900, .of = "anna"}).ok());
  CHECK_FALSE(queue.Submit(3, {.patches = 1, .of = "anna"}).ok());
}

TEST_CASE("a quarter is a quarter of the patches, too") {
  Queue queue({.max_frames = 1, .queue_limit = 100, .patch_limit = 4000});
  queue.Fill({1}, {.of = "ben"});
  queue.Fill({2}, {.patches = 900, .of = "anna"});
  CHECK(queue.Submit(3, {.patches = 100, .of = "anna"}).ok());
  CHECK_FALSE(queue.Submit(4, {.patches = 1, .of = "anna"}).ok());
}

TEST_CASE("who finds the queue full takes the last place of the one who holds most") {
  Queue queue(kEight);
  queue.Fill({1, 2, 3, 4, 5, 6, 7, 8}, {.of = "anna"});
  CHECK(queue.Submit(11, {.of = "ben"}).ok());
  CHECK(queue.evicted() == Tickets{8});
  CHECK_FALSE(queue.rules().Remove(8));
  CHECK(queue.Submit(12, {.of = "ben"}).ok());
  CHECK(queue.evicted() == Tickets{8, 7});
  CHECK_FALSE(queue.Submit(13, {.of = "ben"}).ok());  // over his quarter
  CHECK(queue.rules().frames() == 8);
  CHECK(queue.Encode() == Tickets{1});
}

TEST_CASE("batch work of the one who holds most goes before his interactive frames do") {
  Queue queue(kEight);
  queue.Fill({1, 2, 3, 4}, {.interactive = false, .of = "anna"});
  queue.Fill({5, 6, 7, 8}, {.of = "anna"});
  CHECK(queue.Submit(11, {.of = "ben"}).ok());
  CHECK(queue.evicted() == Tickets{4});
}

TEST_CASE("nobody is evicted for one who would hold as much") {
  Queue queue({.max_frames = 1, .queue_limit = 4});
  for (const char* subject : {"a", "b", "c", "d"}) {
    queue.Fill({static_cast<Ticket>(*subject)}, {.of = subject});
  }
  CHECK(ReasonOf(queue.Submit(1, {.of = "e"})) == Reason::kQueueFull);
  CHECK(queue.evicted().empty());
}

TEST_CASE("the one who holds most gives way also when everyone is below a quarter") {
  Queue queue({.max_frames = 1, .queue_limit = 12});
  queue.Fill({1, 2, 3}, {.of = "a"});
  queue.Fill({11, 12, 13}, {.of = "b"});
  queue.Fill({21, 22, 23}, {.of = "c"});
  queue.Fill({31, 32}, {.of = "d"});
  queue.Fill({41}, {.of = "e"});
  CHECK(queue.Submit(51, {.of = "f"}).ok());
  CHECK(queue.evicted().size() == 1);
}

TEST_CASE("frames that are still decoded cannot be evicted, they hold their places") {
  Queue queue({.max_frames = 1, .queue_limit = 4});
  std::vector<Place> places;
  for (int i = 0; i < 4; ++i) places.push_back(std::move(queue.Reserve({.of = "anna"})->place));
  CHECK_FALSE(queue.Submit(11, {.of = "ben"}).ok());
  queue.Push(1, {.of = "anna"}, std::move(places[0]));
  CHECK(queue.Submit(11, {.of = "ben"}).ok());
  CHECK(queue.evicted() == Tickets{1});
}

TEST_CASE("nobody is evicted in vain: one face's place is too small for a large image") {
  Queue queue({.max_frames = 1, .queue_limit = 100, .patch_limit = 10 * kFace});
  for (Ticket t = 1; t <= 10; ++t) queue.Fill({t}, {.of = "anna"});
  CHECK_FALSE(queue.Submit(11, {.patches = 2 * kFace, .of = "ben"}).ok());
  CHECK(queue.evicted().empty());
  CHECK(queue.Submit(11, {.of = "ben"}).ok());
  CHECK(queue.evicted() == Tickets{10});
}

TEST_CASE("who comes too late anyway evicts nobody") {
  Queue queue(kEight);
  queue.KnowPace(kFace, milliseconds(100));
  queue.Fill({1, 2, 3, 4, 5, 6, 7, 8}, {.of = "anna"});
  CHECK_FALSE(queue.Submit(11, {.timeout = milliseconds(50), .of = "ben"}).ok());
  CHECK(queue.evicted().empty());
}

}  // namespace
}  // namespace emotion::embedding

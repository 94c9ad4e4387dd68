#include "embedding_service/batching/turns.h"

#include <algorithm>
#include <map>
#include <string>

#include "embedding_service/batching/work_ahead.h"
#include "tests/unit/embedding_service/batching/queue_words.h"

namespace emotion::embedding {
namespace {

using testing::kFace;
using testing::milliseconds;
using testing::Queue;
using testing::Random;
using testing::Tickets;

TEST_CASE("subjects take turns, however many frames the one sent first") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3, 4}, {.of = "anna"});
  queue.Fill({11, 12}, {.of = "ben"});
  queue.Fill({21}, {.of = "cleo"});
  Tickets order;
  for (int i = 0; i < 7; ++i) order.push_back(queue.Encode().front());
  CHECK(order == Tickets{1, 11, 21, 2, 12, 3, 4});
}

TEST_CASE("who comes when others have a backlog is next, once; then he takes turns like all") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3, 4, 5, 6}, {.of = "anna"});
  CHECK(queue.Encode() == Tickets{1});
  CHECK(queue.Encode() == Tickets{2});
  queue.Fill({11, 12}, {.of = "ben"});
  CHECK(queue.Encode() == Tickets{11});
  CHECK(queue.Encode() == Tickets{3});
  CHECK(queue.Encode() == Tickets{12});
  CHECK(queue.Encode() == Tickets{4});
}

TEST_CASE("two who send as soon as they are served cannot starve one who waits") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  std::map<Ticket, std::string> owners;
  Ticket next = 1;
  const auto send = [&](const std::string& subject) {
    owners[next] = subject;
    queue.Fill({next++}, {.of = subject});
  };
  for (const char* subject : {"anna", "ben", "cleo", "cleo", "cleo"}) send(subject);
  int cleo = 0;
  for (int i = 0; i < 9; ++i) {
    const std::string served = owners.at(queue.Encode().front());
    if (served == "cleo") {
      ++cleo;
    } else {
      send(served);
    }
  }
  CHECK(cleo == 3);
}

TEST_CASE("a turn costs what the frame costs: one large image weighs as much as its faces") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2}, {.patches = 4 * kFace, .of = "anna"});
  queue.Fill({11, 12, 13, 14, 15}, {.of = "ben"});
  Tickets order;
  for (int i = 0; i < 7; ++i) order.push_back(queue.Encode().front());
  CHECK(order == Tickets{1, 11, 12, 13, 14, 2, 15});
}

TEST_CASE("a tiny image costs a turn all the same") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3}, {.patches = 1, .of = "anna"});
  queue.Fill({11, 12}, {.of = "ben"});
  Tickets order;
  for (int i = 0; i < 5; ++i) order.push_back(queue.Encode().front());
  CHECK(order == Tickets{1, 11, 2, 12, 3});
}

TEST_CASE("frames that left without an encode cost their subject no turn") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3, 4}, {.timeout = milliseconds(50), .of = "anna"});
  queue.Fill({5}, {.of = "anna"});
  queue.Advance(milliseconds(50));
  CHECK(queue.TakeDead() == Tickets{1, 2, 3, 4});
  queue.rules().Remove(5);
  queue.Fill({6}, {.of = "anna"});
  queue.Fill({11}, {.of = "ben"});
  CHECK(queue.Encode() == Tickets{6});
}

TEST_CASE("inside a subject frames go as they came, also when some before them left") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3, 4, 5}, {.of = "anna"});
  for (const Ticket ticket : {1, 2, 3}) queue.rules().Remove(ticket);
  queue.Fill({6, 7}, {.of = "anna"});
  Tickets order;
  for (int i = 0; i < 4; ++i) order.push_back(queue.Encode().front());
  CHECK(order == Tickets{4, 5, 6, 7});
}

TEST_CASE("batch work that aged takes turns with the interactive frames") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.Fill({1, 2, 3}, {.interactive = false, .of = "anna"});
  queue.Fill({11}, {.of = "ben"});
  queue.Advance(milliseconds(2000));
  queue.Fill({12, 13}, {.of = "ben"});
  Tickets order;
  for (int i = 0; i < 6; ++i) order.push_back(queue.Encode().front());
  CHECK(order == Tickets{1, 11, 2, 12, 3, 13});
}

TEST_CASE("a light subject is admitted though a heavy one has filled the queue with work") {
  Queue queue({.max_frames = 4, .queue_limit = 64});
  queue.KnowPace(kFace, milliseconds(10));
  for (Ticket t = 1; t <= 40; ++t) queue.Fill({t}, {.of = "heavy"});
  CHECK(queue.Answer(kFace, "light") == milliseconds(20));  // in the first batch, with one frame
  CHECK(queue.Answer(kFace, "heavy") == milliseconds(410));
  CHECK(queue.Submit(101, {.timeout = milliseconds(20), .of = "light"}).ok());
  CHECK_FALSE(queue.Submit(41, {.timeout = milliseconds(400), .of = "heavy"}).ok());
}

TEST_CASE("who asks for a late turn reckons with the turns that the others will get until then") {
  Queue queue({.max_frames = 1, .queue_limit = 64});
  queue.KnowPace(kFace, milliseconds(10));
  for (const char* subject : {"a", "b", "c"})
    queue.Fill({static_cast<Ticket>(*subject)}, {.of = subject});
  CHECK(queue.Answer(kFace, "new") == milliseconds(40));
  queue.Fill({1, 2, 3}, {.of = "a"});
  CHECK(queue.Answer(kFace, "new") == milliseconds(40));
  CHECK(queue.Answer(kFace, "a") == milliseconds(130));  // four turns of three, though six wait
}

TEST_CASE("with k subjects always waiting each gets its share within one frame") {
  constexpr size_t kSubjects = 5;
  Queue queue({.max_frames = 3, .queue_limit = 200});
  Random random(7);
  std::map<Ticket, size_t> owners;
  std::vector<int> waiting(kSubjects, 0);
  std::vector<int> served(kSubjects, 0);
  Ticket next = 1;
  for (int batch = 0; batch < 2000; ++batch) {
    for (size_t s = 0; s < kSubjects; ++s) {
      // Each always has enough waiting for a batch of its own; some have far more.
      while (waiting[s] < 3 || (waiting[s] < static_cast<int>(3 + 8 * s) && random.Below(2) == 0)) {
        REQUIRE(queue.Submit(next, {.of = std::to_string(s)}).ok());
        owners[next++] = s;
        ++waiting[s];
      }
    }
    for (const Ticket ticket : queue.Encode()) {
      ++served[owners.at(ticket)];
      --waiting[owners.at(ticket)];
    }
    const auto [least, most] = std::minmax_element(served.begin(), served.end());
    REQUIRE(*most - *least <= 1);
  }
}

TEST_CASE("an end of work is remembered only while it lies ahead of the clock") {
  Turns turns;
  for (int i = 0; i < 100'000; ++i) {
    const std::string subject = std::to_string(i % 1000);
    turns.Serve(subject, turns.Next(subject, 0), 64);
  }
  CHECK(turns.remembered() <= 2000);
  turns.Rest();
  CHECK(turns.remembered() == 0);
}

TEST_CASE("an endless row of new subjects neither fills the memory nor stops the clock") {
  Turns turns(100);
  turns.Serve("old", 0, 64);
  CHECK(turns.Next("old", 0) == 64);
  for (int i = 0; i < 1000; ++i) {
    const std::string subject = "new" + std::to_string(i);
    turns.Serve(subject, turns.Next(subject, 0), 64);
    CHECK(turns.remembered() <= 100);
  }
  // A frame that had its turn at 64 is past by now: newcomers come after it.
  CHECK(turns.Next("newer", 0) > 64);
}

TEST_CASE("the work before a turn is what a count would say") {
  WorkByTurn work;
  Random random(3);
  std::vector<std::pair<int64_t, Work>> all;
  for (int i = 0; i < 2000; ++i) {
    if (!all.empty() && random.Below(3) == 0) {
      const size_t at = random.Below(all.size());
      work.Remove(all[at].first, all[at].second);
      all.erase(all.begin() + static_cast<ptrdiff_t>(at));
    } else {
      const auto turn = static_cast<int64_t>(random.Below(64 * 50));
      all.emplace_back(turn, Work{1, static_cast<int64_t>(random.Below(1000))});
      work.Add(turn, all.back().second);
    }
    const auto turn = static_cast<int64_t>(random.Below(64 * 60));
    Work expected;
    for (const auto& [at, each] : all) {
      if (at / WorkByTurn::kRound <= turn / WorkByTurn::kRound) expected += each;
    }
    REQUIRE(work.UpTo(turn) == expected);
  }
  for (const auto& [at, each] : all) work.Remove(at, each);
  CHECK(work.total() == Work{});
}

}  // namespace
}  // namespace emotion::embedding

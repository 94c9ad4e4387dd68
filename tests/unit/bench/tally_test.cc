// The accounting of the load generator.
#include "bench/load/tally.h"

#include <catch2/catch.hpp>

namespace emotion::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Answer kPrediction{.verdict = Verdict::kPrediction};

// Two phases of 10 s, a deadline of 100 ms.
struct Bench {
  explicit Bench(size_t sessions = 2, size_t heavy = 0)
      : plan({{"warm", 1, seconds(10)}, {"surge", 2, seconds(10)}}),
        tally(plan, sessions, heavy, milliseconds(100)) {}

  // A frame of `session`, due at `due`, answered `after` it was due.
  void Frame(size_t session, Offset due, const Answer& answer, Offset after) {
    const FrameRecord frame{.session = session,
                            .time = {.capture = due - milliseconds(5), .due = due}};
    tally.Offered(frame);
    tally.Sent(frame, due + milliseconds(1));
    tally.Answered(frame, answer, due + after);
  }

  PhasePlan plan;
  Tally tally;
};

TEST_CASE("a prediction is goodput within the deadline, and late after it") {
  Bench bench;
  bench.Frame(0, seconds(1), kPrediction, milliseconds(100));
  bench.Frame(0, seconds(2), kPrediction, milliseconds(101));
  const Slice slice = bench.tally.Sum(0, Class::kAll);
  CHECK(slice.offered == 2);
  CHECK(slice.sent == 2);
  CHECK(slice.in_time == 1);
  CHECK(slice.late == 1);
  CHECK(slice.latency.max() == milliseconds(101));
  CHECK(slice.age.max() == milliseconds(106));
  CHECK(slice.send_lag.max() == milliseconds(1));
}

TEST_CASE("a frame counts in the phase in which it was due, whenever its answer came") {
  Bench bench;
  bench.Frame(0, milliseconds(9999), kPrediction, seconds(5));
  CHECK(bench.tally.Sum(0, Class::kAll).late == 1);
  CHECK(bench.tally.Sum(1, Class::kAll).offered == 0);
  CHECK(bench.tally.Sum(2, Class::kAll).late == 1);  // the whole run
}

TEST_CASE("what the cache answered and what was encoded have their own latencies") {
  Bench bench;
  Answer cached = kPrediction;
  cached.cached = Cached::kNear;
  bench.Frame(0, seconds(1), cached, milliseconds(2));
  cached.cached = Cached::kExact;
  bench.Frame(0, seconds(2), cached, milliseconds(1));
  bench.Frame(0, seconds(3), kPrediction, milliseconds(50));
  const Slice slice = bench.tally.Sum(2, Class::kAll);
  CHECK(slice.cached.count() == 2);
  CHECK(slice.cached.max() == milliseconds(2));
  CHECK(slice.encoded.count() == 1);
  CHECK(slice.encoded.max() == milliseconds(50));
  CHECK(slice.latency.count() == 3);
}

TEST_CASE("every end of a frame has its count, and all but predictions their reason") {
  Bench bench;
  bench.Frame(0, seconds(1), AnswerOfReason("SUPERSEDED"), milliseconds(1));
  bench.Frame(0, seconds(1), AnswerOfReason("QUEUE_FULL"), milliseconds(2));
  bench.Frame(0, seconds(1), AnswerOfReason("DEADLINE"), milliseconds(3));
  bench.Frame(0, seconds(1), kPrediction, milliseconds(4));
  const FrameRecord left{.session = 1, .time = {.due = seconds(1)}};
  bench.tally.Offered(left);
  bench.tally.Withdrawn(left);
  const Slice slice = bench.tally.Sum(0, Class::kAll);
  CHECK(slice.superseded == 1);
  CHECK(slice.refused == 1);
  CHECK(slice.failed == 1);
  CHECK(slice.withdrawn == 1);
  CHECK(slice.offered == slice.in_time + slice.late + slice.superseded + slice.refused +
                             slice.failed + slice.withdrawn);
  CHECK(slice.refusal.max() == milliseconds(2));
  CHECK(slice.reasons ==
        std::map<std::string, uint64_t>{{"DEADLINE", 1}, {"QUEUE_FULL", 1}, {"SUPERSEDED", 1}});
}

TEST_CASE("the heavy subject and the others are counted apart") {
  Bench bench(3, 1);
  bench.Frame(0, seconds(1), kPrediction, milliseconds(90));
  bench.Frame(1, seconds(1), kPrediction, milliseconds(10));
  bench.Frame(2, seconds(1), kPrediction, milliseconds(20));
  CHECK(bench.tally.Sum(0, Class::kHeavy).latency.max() == milliseconds(90));
  CHECK(bench.tally.Sum(0, Class::kOthers).latency.max() == milliseconds(20));
  CHECK(bench.tally.Sum(0, Class::kAll).in_time == 3);
}

TEST_CASE("a session that offers frames and gets no prediction is starved; a silent one is not") {
  Bench bench(4);
  bench.Frame(0, seconds(1), kPrediction, milliseconds(10));
  bench.Frame(0, seconds(2), kPrediction, milliseconds(10));
  bench.Frame(1, seconds(1), AnswerOfReason("SUPERSEDED"), milliseconds(10));
  bench.Frame(2, seconds(1), kPrediction, milliseconds(10));
  const SessionSpread spread = bench.tally.Spread(Class::kAll, seconds(20));
  CHECK(spread.starved == 1);
  CHECK(spread.least == 0);
  CHECK(spread.median == 1);
  CHECK(spread.most == 2);
}

TEST_CASE("the longest gap runs from the first frame, between predictions, and to the end") {
  Bench start(1);
  start.Frame(0, seconds(1), kPrediction, seconds(9));
  CHECK(start.tally.Spread(Class::kAll, seconds(12)).longest_gap == seconds(9));
  Bench between(1);
  between.Frame(0, seconds(1), kPrediction, Offset(0));
  between.Frame(0, seconds(8), kPrediction, Offset(0));
  CHECK(between.tally.Spread(Class::kAll, seconds(10)).longest_gap == seconds(7));
  CHECK(between.tally.Spread(Class::kAll, seconds(20)).longest_gap == seconds(12));
}

TEST_CASE("a phase has settled when 99 % of every later second's frames are in time") {
  Bench bench(1);
  for (int second = 10; second < 20; ++second) {
    for (int i = 0; i < 100; ++i) {
      const bool bad = second < 13 ? i < 50 : i < 1;
      bench.Frame(0, seconds(second) + milliseconds(i),
                  bad ? AnswerOfReason("QUEUE_FULL") : kPrediction, milliseconds(10));
    }
  }
  CHECK(bench.tally.SecondsToSettle(0) == 0);
  CHECK(bench.tally.SecondsToSettle(1) == 3);
  bench.Frame(0, seconds(19), AnswerOfReason("DEADLINE"), milliseconds(10));
  CHECK(bench.tally.SecondsToSettle(1) == 10);  // its last second was not normal
}

TEST_CASE("frames held back to follow the pace were not offered") {
  Bench bench;
  bench.tally.HeldBack({.session = 0, .time = {.due = seconds(1)}});
  CHECK(bench.tally.Sum(0, Class::kAll).held_back == 1);
  CHECK(bench.tally.Sum(0, Class::kAll).offered == 0);
}

}  // namespace
}  // namespace emotion::bench

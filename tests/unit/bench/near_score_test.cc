#include <catch2/catch.hpp>

#include "bench/near/replay.h"
#include "bench/near/score.h"

namespace emotion::bench {
namespace {

// Frames 0, 1, 2 ... at places on a line: the nearer, the more alike.
SimilarityOf Line(std::vector<float> places) {
  return [places](size_t a, size_t b) { return 1 - std::abs(places[a] - places[b]); };
}

Telling Tells(int boredom, float probability) {
  Telling telling;
  telling.levels = {boredom, 0, 0, 0};
  telling.probabilities[0][0] = probability;
  return telling;
}

TEST_CASE("a frame is answered by an encode that is alike enough, else encoded") {
  const AnsweredBy answered =
      ReplayNear(5, 1, {.threshold = 0.9F, .lifetime_s = 100, .candidates = 2},
                 Line({0, 0.05F, 0.5F, 0.55F, 0.02F}));
  CHECK(answered == AnsweredBy{0, 0, 2, 2, 0});
}

TEST_CASE("answers do not chain: drift away from the encode ends in an encode") {
  const AnsweredBy answered =
      ReplayNear(5, 1, {.threshold = 0.9F, .lifetime_s = 100, .candidates = 2},
                 Line({0, 0.06F, 0.12F, 0.18F, 0.24F}));
  CHECK(answered == AnsweredBy{0, 0, 2, 2, 4});
}

TEST_CASE("the most alike of the encodes remembered answers") {
  const AnsweredBy answered = ReplayNear(
      3, 1, {.threshold = 0.5F, .lifetime_s = 100, .candidates = 2}, Line({0, 0.6F, 0.4F}));
  CHECK(answered == AnsweredBy{0, 1, 1});
}

TEST_CASE("an encode answers for its lifetime only, and only the last few are remembered") {
  const NearPolicy still = {.threshold = 0.9F, .lifetime_s = 4, .candidates = 2};
  CHECK(ReplayNear(5, 2, still, Line({0, 0, 0, 0, 0})) == AnsweredBy{0, 0, 2, 2, 4});
  const NearPolicy one = {.threshold = 0.9F, .lifetime_s = 100, .candidates = 1};
  CHECK(ReplayNear(3, 2, one, Line({0, 0.5F, 0})) == AnsweredBy{0, 1, 2});
}

TEST_CASE("an encode that a frame soon after is unlike answers no more, and leaves its place") {
  NearPolicy policy = {.threshold = 0.9F, .lifetime_s = 100, .candidates = 2, .fleeting_s = 1.5};
  const SimilarityOf blinks = Line({0, 1, 0, 0.5F, 0, 1});
  CHECK(ReplayNear(6, 1, policy, blinks) == AnsweredBy{0, 1, 2, 3, 4, 5});
  CHECK(ReplayNear(6, 2, policy, blinks) == AnsweredBy{0, 1, 0, 3, 4, 5});
  const SimilarityOf rests = Line({0, 0, 0, 1, 0, 2, 0, 1});
  CHECK(ReplayNear(8, 0.5, policy, rests) == AnsweredBy{0, 0, 0, 3, 0, 5, 0, 7});
  policy.fleeting_s = 0;
  CHECK(ReplayNear(8, 0.5, policy, rests) == AnsweredBy{0, 0, 0, 3, 0, 5, 6, 7});
}

TEST_CASE("holding spreads its encodes to reach a hit rate") {
  CHECK(ReplayHold(4, 0) == AnsweredBy{0, 1, 2, 3});
  for (double rate : {0.5, 0.6, 0.75, 0.8}) {
    Score score;
    const AnsweredBy answered = ReplayHold(1000, rate);
    for (size_t i = 0; i < answered.size(); ++i) score.hits += answered[i] != i ? 1 : 0;
    CHECK(static_cast<double>(score.hits) / 1000 == Approx(rate).margin(0.002));
  }
  CHECK(ReplayHold(0, 0.5).empty());
}

TEST_CASE("flips and changes are counted over hits, truth over their levels") {
  const Told told = {.tellings = {Tells(0, 0.9F), Tells(0, 0.8F), Tells(1, 0.2F), Tells(2, 0.1F)},
                     .truth = {{0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}, {0, 0, 0, 0}}};
  const Score score = ScoreOf({0, 0, 0, 3}, told);
  CHECK(score.frames == 4);
  CHECK(score.hits == 2);
  CHECK(score.flipped_hits == 1);
  CHECK(score.flips.flip_rate() == Approx(1.0 / 8));
  CHECK(score.largest_change == Approx(0.7F));
  // Frame 1 is sure of its boredom; the other states say 0 of everything.
  CHECK(score.flips.labels == std::array<size_t, 6>{7, 0, 0, 0, 1, 0});
  CHECK(score.flips.flipped == std::array<size_t, 6>{1, 0, 0, 0, 0, 0});
  CHECK(score.flips.sure_flip_rate() == 0);
  CHECK(score.judged_levels == 8);
  CHECK(score.right_anew == 8);
  CHECK(score.right_as_answered == 7);
}

TEST_CASE("an event is seen when its first or its second frame is encoded") {
  const std::vector<Telling> tellings(8);
  const auto seen = [&](const AnsweredBy& answered) {
    return ScoreOf(answered, {.tellings = tellings, .events = {{EventKind::kYawn, 3, 4}}});
  };
  CHECK(seen({0, 0, 0, 3, 3, 3, 3, 0}).seen_share() == 1);
  CHECK(seen({0, 0, 0, 0, 4, 4, 4, 0}).seen_share() == 1);
  const Score late = seen({0, 0, 0, 0, 0, 5, 5, 0});
  CHECK(late.seen_share() == 0);
  CHECK(late.slept_share() == 1);
}

TEST_CASE("an event of one frame does not count, nor does one that looks the same as before") {
  const std::vector<Telling> tellings(8);
  const Told once = {.tellings = tellings, .events = {{EventKind::kFrown, 3, 1}}};
  CHECK(ScoreOf({0, 0, 0, 0, 0, 0, 0, 0}, once).events == std::array<size_t, kEventKinds>{});
  const Told twice = {.tellings = tellings,
                      .events = {{EventKind::kBlink, 1, 1}, {EventKind::kEyesClosed, 4, 3}}};
  const Score score = ScoreOf({0, 1, 0, 0, 1, 1, 1, 0}, twice);
  CHECK(score.seen_share() == 0);
  CHECK(score.slept_share() == 0);
}

TEST_CASE("scores add up, and shares of nothing are 0") {
  Score sum;
  CHECK(sum.hit_rate() == 0);
  CHECK(sum.flip_rate() == 0);
  CHECK(sum.seen_share() == 0);
  const Told told = {.tellings = {Tells(0, 0.9F), Tells(1, 0.5F)}};
  sum += ScoreOf({0, 0}, told);
  sum += ScoreOf({0, 1}, told);
  CHECK(sum.hit_rate() == Approx(0.25));
  CHECK(sum.flip_rate() == 1);
  CHECK(sum.largest_change == Approx(0.4F));
}

TEST_CASE("flips stand where the encode is as sure as its label's probability says") {
  const std::vector<Telling> once = {Tells(0, 0.95F), Tells(0, 0.8F), Tells(0, 0.55F)};
  const FlipsBySureness same = FlipsOf(once, once);
  CHECK(same.flip_rate() == 0);
  CHECK(same.labels == std::array<size_t, 6>{9, 1, 0, 0, 1, 1});
  const FlipsBySureness flips = FlipsOf(once, std::vector<Telling>(3, Tells(1, 0)));
  CHECK(flips.flipped == std::array<size_t, 6>{0, 1, 0, 0, 1, 1});
  CHECK(flips.flip_rate() == 0.25);
  CHECK(flips.sure_flip_rate() == 1);
  CHECK(flips.flip_rate(1) == 1);
  CHECK(flips.flip_rate(2) == 0);
  CHECK(flips.share(0) == 0.75);
  CHECK(FlipsOf({}, {}).flip_rate() == 0);
}

}  // namespace
}  // namespace emotion::bench

#include "bench/near/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace emotion::bench {
namespace {

double Share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

float LargestChange(const Telling& a, const Telling& b) {
  float largest = 0;
  for (size_t state = 0; state < kStateCount; ++state) {
    for (size_t level = 0; level < kLevelCount; ++level) {
      largest = std::max(largest,
                         std::abs(a.probabilities[state][level] - b.probabilities[state][level]));
    }
  }
  return largest;
}

void CountHit(Score& score, const Told& told, size_t frame, size_t answer) {
  const Telling& answered = told.tellings[answer];
  const Telling& anew = told.tellings[frame];
  ++score.hits;
  score.flips.Count(answered, anew);
  score.flipped_hits += answered.levels != anew.levels;
  score.largest_change = std::max(score.largest_change, LargestChange(answered, anew));
  if (told.truth.empty()) return;
  score.judged_levels += kStateCount;
  for (size_t state = 0; state < kStateCount; ++state) {
    score.right_as_answered += answered.levels[state] == told.truth[frame][state];
    score.right_anew += anew.levels[state] == told.truth[frame][state];
  }
}

// Eyes that are shut look the same for however long.
EventKind LookOf(EventKind kind) {
  return kind == EventKind::kBlink ? EventKind::kEyesClosed : kind;
}

bool InEventLike(EventKind kind, size_t frame, std::span<const Event> events) {
  return std::any_of(events.begin(), events.end(), [&](const Event& event) {
    return LookOf(event.kind) == LookOf(kind) && frame >= event.first &&
           frame < event.first + event.frames;
  });
}

void CountEvent(Score& score, const Event& event, const AnsweredBy& answered,
                std::span<const Event> events) {
  if (event.frames < 2) return;
  const auto kind = static_cast<size_t>(event.kind);
  ++score.events[kind];
  const size_t first = answered[event.first];
  const size_t second = answered[event.first + 1];
  score.seen[kind] += first == event.first || second == event.first + 1;
  score.slept_through[kind] +=
      !InEventLike(event.kind, first, events) && !InEventLike(event.kind, second, events);
}

size_t Sum(const std::array<size_t, kEventKinds>& counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

// Of the parts from `first` on.
size_t SumFrom(size_t first, const std::array<size_t, FlipsBySureness::kFrom.size()>& counts) {
  return std::accumulate(counts.begin() + static_cast<std::ptrdiff_t>(first), counts.end(),
                         size_t{0});
}

constexpr size_t PartOf(float probability) {
  size_t part = FlipsBySureness::kFrom.size() - 1;
  while (part > 0 && probability < FlipsBySureness::kFrom[part]) --part;
  return part;
}

}  // namespace

void FlipsBySureness::Count(const Telling& answered, const Telling& anew) {
  for (size_t state = 0; state < kStateCount; ++state) {
    const auto level = static_cast<size_t>(anew.levels[state]);
    const size_t part = PartOf(anew.probabilities[state][level]);
    ++labels[part];
    flipped[part] += answered.levels[state] != anew.levels[state];
  }
}

FlipsBySureness& FlipsBySureness::operator+=(const FlipsBySureness& other) {
  for (size_t part = 0; part < kFrom.size(); ++part) {
    labels[part] += other.labels[part];
    flipped[part] += other.flipped[part];
  }
  return *this;
}

double FlipsBySureness::share(size_t part) const { return Share(labels[part], SumFrom(0, labels)); }
double FlipsBySureness::flip_rate(size_t part) const { return Share(flipped[part], labels[part]); }
double FlipsBySureness::flip_rate() const { return Share(SumFrom(0, flipped), SumFrom(0, labels)); }
double FlipsBySureness::sure_flip_rate() const {
  constexpr size_t kFirst = PartOf(kSure);
  return Share(SumFrom(kFirst, flipped), SumFrom(kFirst, labels));
}

Score& Score::operator+=(const Score& other) {
  frames += other.frames;
  hits += other.hits;
  flipped_hits += other.flipped_hits;
  flips += other.flips;
  largest_change = std::max(largest_change, other.largest_change);
  judged_levels += other.judged_levels;
  right_as_answered += other.right_as_answered;
  right_anew += other.right_anew;
  for (size_t kind = 0; kind < events.size(); ++kind) {
    events[kind] += other.events[kind];
    seen[kind] += other.seen[kind];
    slept_through[kind] += other.slept_through[kind];
  }
  return *this;
}

double Score::hit_rate() const { return Share(hits, frames); }
double Score::flip_rate() const { return Share(flipped_hits, hits); }
double Score::seen_share() const { return Share(Sum(seen), Sum(events)); }
double Score::slept_share() const { return Share(Sum(slept_through), Sum(events)); }
double Score::share_right_as_answered() const { return Share(right_as_answered, judged_levels); }
double Score::share_right_anew() const { return Share(right_anew, judged_levels); }

Score ScoreOf(const AnsweredBy& answered, const Told& told) {
  Score score;
  score.frames = answered.size();
  for (size_t frame = 0; frame < answered.size(); ++frame) {
    if (answered[frame] != frame) CountHit(score, told, frame, answered[frame]);
  }
  for (const Event& event : told.events) CountEvent(score, event, answered, told.events);
  return score;
}

FlipsBySureness FlipsOf(std::span<const Telling> once, std::span<const Telling> again) {
  FlipsBySureness flips;
  for (size_t i = 0; i < once.size(); ++i) flips.Count(again[i], once[i]);
  return flips;
}

}  // namespace emotion::bench

// How well a sequence was answered: what was saved, and what was missed or told wrong for it. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "bench/near/replay.h"
#include "bench/near/sitting.h"
#include "common/affect/affect.h"

namespace emotion::bench {

// What the heads say of a frame that is encoded anew.
struct Telling {
  std::array<int, kStateCount> levels{};
  std::array<std::array<float, kLevelCount>, kStateCount> probabilities{};
};

// One sequence, as it was told and as it was meant.
struct Told {
  std::vector<Telling> tellings;                         // of each frame, encoded anew
  std::vector<std::array<int, kStateCount>> truth = {};  // the levels that were drawn; or none
  std::vector<Event> events = {};                        // in order
};

inline constexpr float kSure = 0.8F;

// Labels and those of them that flip, by how sure an encode is of them: by the probability that it
// gives their level.
struct FlipsBySureness {
  static constexpr std::array<float, 6> kFrom = {0, 0.5F, 0.6F, 0.7F, kSure, 0.9F};

  // The four labels of a frame that `answered` answers and that would tell `anew`.
  void Count(const Telling& answered, const Telling& anew);
  FlipsBySureness& operator+=(const FlipsBySureness& other);

  double share(size_t part) const;      // of all labels
  double flip_rate(size_t part) const;  // of the part's labels
  double flip_rate() const;             // of all
  double sure_flip_rate() const;        // of those from kSure on

  std::array<size_t, kFrom.size()> labels{};
  std::array<size_t, kFrom.size()> flipped{};
};

// Sums over sequences; add with +=.
struct Score {
  size_t frames = 0;
  size_t hits = 0;
  size_t flipped_hits = 0;   // at least one of the four levels is not what an encode would tell
  FlipsBySureness flips;     // over hits
  float largest_change = 0;  // of any probability, over hits
  // Of the hits' levels where truth is known: right as answered, right as an encode would tell.
  size_t judged_levels = 0;
  size_t right_as_answered = 0;
  size_t right_anew = 0;
  // Events of two frames or more, by kind, and those of them of which the first or the second frame
  // was encoded.
  std::array<size_t, kEventKinds> events{};
  std::array<size_t, kEventKinds> seen{};
  // Those of which neither was encoded nor answered by an encode of an earlier event that looks the
  // same (eyes shut, for a blink or for longer): nothing of them came out.
  std::array<size_t, kEventKinds> slept_through{};

  Score& operator+=(const Score& other);

  double hit_rate() const;   // 0 to 1; all shares are 0 of nothing
  double flip_rate() const;  // of hits
  double seen_share() const;
  double slept_share() const;
  double share_right_as_answered() const;
  double share_right_anew() const;
};

// REQUIRES: one telling (and truth, if any) per frame of `answered`; events within them.
Score ScoreOf(const AnsweredBy& answered, const Told& told);

// How two photographs of one moment are told unlike. REQUIRES: as many of each.
FlipsBySureness FlipsOf(std::span<const Telling> once, std::span<const Telling> again);

}  // namespace emotion::bench

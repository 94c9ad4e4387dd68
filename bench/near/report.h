// The evaluation as Markdown, for docs/benchmarks.md and for people.
#pragma once

#include <string>

#include "bench/near/recording.h"

namespace emotion::bench {

// What was recorded at one frame rate.
struct Occasion {
  std::string name;              // such as "one frame per 2 s"
  std::vector<Recording> drawn;  // of calm heads, then of restless ones
  size_t calm = 0;               // so many
  std::vector<Recording> photo;
};

// All tables of one occasion. `rules` are those that it was described by; the first is ours, those
// from `first_oracle` on are none that a cache could use.
std::string ReportOn(const Occasion& occasion, std::span<const NearRule> rules,
                     size_t first_oracle);

}  // namespace emotion::bench

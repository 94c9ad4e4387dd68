// What a run has to reach: 'p99_ms<=50', 'surge.goodput>=360'. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::bench {

struct Objective {
  std::string text;  // as it was written
  std::string name;
  enum class Relation { kAtMost, kAtLeast, kBelow, kAbove, kEqual } relation = Relation::kAtMost;
  double limit = 0;
};

// NAME, one of <= >= < > ==, a number. INVALID_ARGUMENT says what it must look like.
absl::StatusOr<Objective> ParseObjective(std::string_view text);

bool Holds(const Objective& objective, double value);

// One line per objective that does not hold, or whose name `values` does not know.
std::vector<std::string> Missed(const std::vector<Objective>& objectives,
                                const std::map<std::string, double>& values);

}  // namespace emotion::bench

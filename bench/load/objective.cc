#include "bench/load/objective.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace emotion::bench {
namespace {

using Relation = Objective::Relation;

// Longer signs first: "<=" begins with "<".
constexpr std::array<std::pair<std::string_view, Relation>, 5> kSigns = {{
    {"<=", Relation::kAtMost},
    {">=", Relation::kAtLeast},
    {"==", Relation::kEqual},
    {"<", Relation::kBelow},
    {">", Relation::kAbove},
}};

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

absl::StatusOr<Objective> ParseObjective(std::string_view text) {
  for (const auto& [sign, relation] : kSigns) {
    const size_t at = text.find(sign);
    if (at == std::string_view::npos || at == 0) continue;
    const std::optional<double> limit = ParseNumber(text.substr(at + sign.size()));
    if (!limit) break;
    return Objective{.text = std::string(text),
                     .name = std::string(text.substr(0, at)),
                     .relation = relation,
                     .limit = *limit};
  }
  const std::string message = fmt::format(
      "objective '{}': must be NAME, then <=, >=, ==, < or >, then a number: 'p99_ms<=50'", text);
  return absl::InvalidArgumentError(message);
}

bool Holds(const Objective& objective, double value) {
  switch (objective.relation) {
    case Relation::kAtMost:
      return value <= objective.limit;
    case Relation::kAtLeast:
      return value >= objective.limit;
    case Relation::kBelow:
      return value < objective.limit;
    case Relation::kAbove:
      return value > objective.limit;
    case Relation::kEqual:
      return value == objective.limit;
  }
  return false;
}

std::vector<std::string> Missed(const std::vector<Objective>& objectives,
                                const std::map<std::string, double>& values) {
  std::vector<std::string> lines;
  for (const Objective& objective : objectives) {
    const auto found = values.find(objective.name);
    if (found == values.end()) {
      lines.push_back(fmt::format("{}: nothing here is called that", objective.text));
    } else if (!Holds(objective, found->second)) {
      lines.push_back(fmt::format("{}: was {:.4g}", objective.text, found->second));
    }
  }
  return lines;
}

}  // namespace emotion::bench

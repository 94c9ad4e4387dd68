#include "common/affect/affect.h"

namespace emotion {
namespace {

constexpr std::array<std::string_view, kStateCount> kStateNames = {"Boredom", "Engagement",
                                                                   "Confusion", "Frustration"};
constexpr std::array<std::string_view, kLevelCount> kLevelNames = {"very low", "low", "high",
                                                                   "very high"};

}  // namespace

std::string_view StateName(State state) { return kStateNames[static_cast<size_t>(state)]; }

std::optional<State> ParseState(std::string_view name) {
  for (State state : kStates) {
    if (StateName(state) == name) return state;
  }
  return std::nullopt;
}

std::string_view LevelName(size_t level) { return kLevelNames[level]; }

}  // namespace emotion

// The four affective states and their levels: order, names and level names, stated once.
//
// The order is the order of every array of four in this project, of the protocol's AffectiveState
// (shifted by one, whose 0 means unspecified) and of DAiSEE's label columns.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace emotion {

enum class State { kBoredom, kEngagement, kConfusion, kFrustration };

inline constexpr size_t kStateCount = 4;
inline constexpr std::array<State, kStateCount> kStates = {State::kBoredom, State::kEngagement,
                                                           State::kConfusion, State::kFrustration};

// Levels run from 0 to 3, DAiSEE's "very low" to "very high".
inline constexpr size_t kLevelCount = 4;

// "Boredom", "Engagement", "Confusion", "Frustration": as in file names, JSON and logs.
std::string_view StateName(State state);

// The inverse of StateName, case-sensitive; nullopt for any other text.
std::optional<State> ParseState(std::string_view name);

// "very low", "low", "high", "very high". REQUIRES: level < kLevelCount.
std::string_view LevelName(size_t level);

}  // namespace emotion

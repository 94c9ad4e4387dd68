// Which replica a frame goes to. Pure: the same on every gateway for the same replicas.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace emotion {

// A replica that may be chosen.
struct Candidate {
  uint64_t address_hash = 0;  // HashAddress of its address
  size_t outstanding = 0;     // its unanswered frames, of this process
  size_t window = 0;          // at most so many may be unanswered
};

uint64_t HashAddress(std::string_view address);

// A session's home is never left for its first few frames: with hardly any load the mean is near 0.
inline constexpr size_t kAlwaysAtHome = 4;

// Index of the replica for a frame. Frames of a session go to their home, the rendezvous hash of
// session_key over addresses, unless it has more than 1.25 times the mean outstanding (and more
// than kAlwaysAtHome) or its window is full. All others go to the less loaded of two different ones
// at random; `random` is 64 random bits. nullopt: there is none, or every window is full.
std::optional<size_t> ChooseReplica(std::span<const Candidate> candidates,
                                    std::string_view session_key, uint64_t random);

}  // namespace emotion

// Newest frame wins: which frames of a live sender are out of date.
//
// The frames of one face of one session are a *lane*; the larger sequence is the newer frame.
// Wherever frames wait, at most one per lane does: a newer one that arrives takes the place of the
// one that waits, and an older one that arrives late is out of date at once. Frames that wait no
// more (they are being worked on, or answered) are left alone.
//
// Pure rules: no thread, no lock, no clock. Who owns the frames answers those that are superseded.
// Used where frames wait: by FramePool and by the embedding service's pipeline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace emotion {

struct Lane {
  std::string session;  // session_key
  uint32_t face = 0;

  friend bool operator==(const Lane&, const Lane&) = default;
};

// nullopt for frames that are never superseded and supersede none: those without a session, and
// those that are not of a live stream (sequence 0).
std::optional<Lane> LaneOf(std::string_view session_key, uint32_t face, uint64_t sequence);

class NewestWins {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Rules {
    // How long the newest sequence of a lane is remembered after its last frame waited: as long as
    // a late frame may still be under way.
    std::chrono::milliseconds remember_for{10'000};
    // Most lanes in which nothing waits that are remembered, about 200 bytes each; the one that was
    // left longest ago is forgotten first. Lanes in which a frame waits are never forgotten.
    size_t idle_lanes = 32'768;
  };

  struct Arrival {
    bool superseded = false;   // the newcomer is out of date; it does not wait
    uint64_t predecessor = 0;  // the frame that waited and does no more; 0: none did
  };

  explicit NewestWins(const Rules& rules) : rules_(rules) {}

  // Frame `ticket` (unique, not 0) arrives; unless it is out of date it waits now. An equal
  // sequence is out of date too, but not that of a frame that was `sent_again` after a replica
  // broke off: it is the same frame.
  Arrival Arrive(const Lane& lane, uint64_t sequence, uint64_t ticket, bool sent_again,
                 TimePoint now);

  // Frame `ticket` waits no more. No effect when it does not wait.
  void Leave(const Lane& lane, uint64_t ticket, TimePoint now);

  size_t lanes() const { return lanes_.size(); }  // remembered

 private:
  struct Hash {
    size_t operator()(const Lane& lane) const;
  };
  using Idle = std::list<const Lane*>;  // keys of lanes_
  struct State {
    uint64_t newest = 0;
    uint64_t waiting = 0;  // a ticket; 0: none, the lane is idle
    TimePoint left;        // where idle
    Idle::iterator idle;   // where idle
  };

  void Forget(TimePoint now);

  const Rules rules_;
  std::unordered_map<Lane, State, Hash> lanes_;
  Idle idle_;  // the one left longest ago first
};

}  // namespace emotion

// What a frame holds of the queue from the moment it is admitted: see BatchQueue.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace emotion::embedding {

using TimePoint = std::chrono::steady_clock::time_point;
using Ticket = uint64_t;  // chosen by the caller, unique among the frames it has here

// What a frame needs to be admitted.
struct PlaceRequest {
  int64_t patches = 0;  // about: a native size is known only when decoded
  TimePoint deadline;
  bool interactive = true;   // false: goes after all interactive frames until it aged
  std::string subject = {};  // whose turn it takes (16-byte fairness key); "" is one like any other
};

// A place in line: move-only, since each is given back exactly once. It says nothing to its holder;
// only the queue that made it reads it. One that is default-made or was moved from is empty, and
// giving it back does nothing.
class Place {
 public:
  Place() = default;
  Place(Place&& other) noexcept { *this = std::move(other); }
  Place& operator=(Place&& other) noexcept {
    held_ = std::exchange(other.held_, false);
    patches_ = other.patches_;
    return *this;
  }
  ~Place() = default;

  explicit operator bool() const { return held_; }

 private:
  friend class BatchQueue;
  explicit Place(int64_t patches) : held_(true), patches_(patches) {}

  bool held_ = false;
  int64_t patches_ = 0;
};

struct Reservation {
  Place place;
  // A waiting frame that had to leave so that this one fits: the last of the subject that held
  // most. It is gone from here and will never be answered from here: its owner answers it.
  std::optional<Ticket> evicted = {};
};

}  // namespace emotion::embedding

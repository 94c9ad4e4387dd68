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

struct Subject;  // subjects.h

// Interactive frames go before batch work; in this order.
enum class Priority : uint8_t { kInteractive, kBatch };

// What a frame needs to be admitted.
struct PlaceRequest {
  int64_t patches = 0;  // about: a native size is known only when decoded
  TimePoint deadline;
  bool interactive = true;   // false: goes after all interactive frames until it aged
  std::string subject = {};  // whose turn it takes (16-byte fairness key); "" is one like any other
};

// The queue's view of a place.
struct Seat {
  Subject* subject = nullptr;  // stays while it holds a seat
  Priority priority = Priority::kInteractive;
  int64_t turn = 0;     // see Turns
  uint64_t number = 0;  // counts up with each place: who came first among equal turns
  TimePoint since;      // when it was taken
  int64_t patches = 0;
};

// A place in line: move-only, since each is given back exactly once. It says nothing to its holder;
// only the queue that made it reads it. One that is default-made or was moved from is empty, and
// giving it back does nothing.
class Place {
 public:
  Place() = default;
  Place(Place&& other) noexcept : seat_(std::exchange(other.seat_, Seat{})) {}
  Place& operator=(Place&& other) noexcept {
    seat_ = std::exchange(other.seat_, Seat{});
    return *this;
  }
  ~Place() = default;

  explicit operator bool() const { return seat_.subject != nullptr; }

 private:
  friend class BatchQueue;
  explicit Place(const Seat& seat) : seat_(seat) {}

  Seat seat_;
};

struct Reservation {
  Place place;
  // A waiting frame that had to leave so that this one fits: the last of the subject that held
  // most. It is gone from here and will never be answered from here: its owner answers it.
  std::optional<Ticket> evicted = {};
};

}  // namespace emotion::embedding

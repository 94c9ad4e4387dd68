// The frames that wait, found by ticket, by order, by deadline and by age; each in log time.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "embedding_service/batching/place.h"
#include "embedding_service/batching/subjects.h"

namespace emotion::embedding {

struct WaitingFrame {
  Ticket ticket = 0;
  int64_t patches = 0;
  TimePoint deadline;
  bool interactive = true;  // false: goes after all interactive frames until it aged
  bool alone = false;       // encoded in a batch of one: it was in flight when a replica died
};

class WaitingFrames {
 public:
  struct Entry {
    WaitingFrame frame;
    Seat seat;

    Order order() const { return {seat.priority, seat.turn, seat.number, frame.ticket}; }
  };

  void Add(const Entry& entry);
  std::optional<Entry> Remove(Ticket ticket);  // nullopt when no such frame waits
  const Entry* Find(Ticket ticket) const;      // nullptr when no such frame waits
  const Entry& At(Ticket ticket) const { return entries_.at(ticket); }

  const std::set<Order>& line() const { return line_; }
  std::vector<Ticket> DeadAt(TimePoint now) const;  // whose deadline is `now` or before
  std::optional<TimePoint> NextDeadline() const;
  // Of those with this priority the one whose place was taken first.
  const Entry* Oldest(Priority priority) const;

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  int64_t patches() const { return patches_; }

 private:
  std::unordered_map<Ticket, Entry> entries_;
  std::set<Order> line_;
  std::set<std::pair<TimePoint, Ticket>> deadlines_;
  std::array<std::set<std::pair<uint64_t, Ticket>>, 2> ages_;  // by the number of their seat
  int64_t patches_ = 0;
};

}  // namespace emotion::embedding

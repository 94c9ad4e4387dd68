// Who holds how much of the queue. Pure bookkeeping; BatchQueue makes the rules of it.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "embedding_service/batching/place.h"
#include "embedding_service/batching/work_ahead.h"

namespace emotion::embedding {

// The order in which frames are taken.
struct Order {
  Priority priority;
  int64_t turn;
  uint64_t number;
  Ticket ticket;

  friend bool operator<(const Order& a, const Order& b) {
    return std::tie(a.priority, a.turn, a.number, a.ticket) <
           std::tie(b.priority, b.turn, b.number, b.ticket);
  }
};

// One sender, while it has something here.
struct Subject {
  std::string name;
  uint64_t id = 0;
  Work holds;                          // its places, and the patches of all of them
  std::array<int64_t, 2> turn_work{};  // what its places cost in turns, by priority
  std::set<Order> waiting;             // those of its frames that wait, in order
  double ranked_as = -1;               // its part of the queue, as Subjects has it ranked

  int64_t LastTurn(Priority priority) const;  // of those that wait; 0 when none does
};

class Subjects {
 public:
  // The bounds of the queue, of which a subject holds a part.
  Subjects(size_t queue_limit, int64_t patch_limit)
      : queue_limit_(queue_limit), patch_limit_(patch_limit) {}

  // The part of the queue that `work` takes, of its frames or its patches, whichever is larger.
  double Part(const Work& work) const;

  // nullptr when it has nothing here.
  Subject* Find(const std::string& name);
  const Subject* Find(const std::string& name) const;
  Subject& FindOrAdd(const std::string& name);

  // To be called after `holds` or `waiting` changed. A subject that holds nothing is gone after it.
  void Changed(Subject& subject);

  // The subject that holds most, of those of which a frame waits; nullptr when none waits.
  Subject* Largest() const;

  size_t size() const { return subjects_.size(); }

 private:
  struct Rank {
    double part;
    uint64_t id;
    Subject* subject;
    friend bool operator<(const Rank& a, const Rank& b) {
      return std::pair(a.part, a.id) < std::pair(b.part, b.id);
    }
  };

  const size_t queue_limit_;
  const int64_t patch_limit_;
  uint64_t next_id_ = 0;
  std::unordered_map<std::string, Subject> subjects_;  // nodes, so that a Seat may point at one
  std::set<Rank> ranks_;                               // of those of which a frame waits
};

}  // namespace emotion::embedding

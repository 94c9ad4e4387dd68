// Which sessions have a socket on this gateway, and which are to be forgotten when they stay away.
//
// A session whose last socket closed is due for deletion some time later, dated at the close: a
// socket that opens meanwhile keeps it. The last socket of a session decides whether it is
// forgotten. A pure rule: no threads, no clock of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace emotion::gateway {

struct Deletion {
  std::string session_key;
  uint64_t deleted_at_us = 0;  // Unix time of the close: what came later is not touched
};

class OpenSessions {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `after`: how long a session may stay away. Above `most_waiting` the oldest are due early.
  explicit OpenSessions(std::chrono::milliseconds after, size_t most_waiting = 100'000)
      : after_(after), most_waiting_(most_waiting) {}

  void Open(const std::string& session_key);
  void Close(const std::string& session_key, bool forget, TimePoint now, uint64_t closed_at_us);

  // Those whose time has come, oldest first; they are not known here any more.
  std::vector<Deletion> TakeDue(TimePoint now);
  std::vector<Deletion> TakeAll();

  // When TakeDue has something; nullopt: nothing waits.
  std::optional<TimePoint> NextDue() const;

  size_t open() const { return open_.size(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    uint64_t closed_at_us = 0;
    uint64_t turn = 0;  // its entry in order_; others of the session are void
  };
  struct Turn {
    std::string session_key;
    uint64_t turn = 0;
    TimePoint due;
  };

  void TakeFront(std::vector<Deletion>& taken);

  const std::chrono::milliseconds after_;
  const size_t most_waiting_;
  std::unordered_map<std::string, size_t> open_;  // sockets per session
  std::unordered_map<std::string, Waiting> waiting_;
  std::deque<Turn> order_;  // by due; void entries leave when they come to the front
  uint64_t last_turn_ = 0;
};

}  // namespace emotion::gateway

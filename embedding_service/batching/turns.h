// Whose turn it is: start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing",
// SIGCOMM 1996) among the subjects of one priority.
//
// A virtual clock counts work as each subject gets it, in patches. A frame's turn is the clock's
// time at which its work starts: not before the frame came, nor before all earlier work of its
// subject. Who is served lowest turn first serves all alike: two subjects that both always have a
// frame waiting differ by one frame of each at most, however many frames the one sends, and a
// subject that was away neither gains nor loses.
//
// Pure and cheap: a turn is a sum, serving is a hash lookup. What is kept of a subject is the time
// at which the work that it got ends, and only while that time is ahead of the clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace emotion::embedding {

class Turns {
 public:
  // `most_subjects`: of so many at most an end is kept; when more were served within one round, all
  // are even again and a new round begins. More: fair among more; a name and 8 bytes each.
  explicit Turns(size_t most_subjects = 4096) : most_subjects_(most_subjects) {}

  // The turn of a frame that comes now, when `own_work` patches of its subject are still ahead.
  int64_t Next(const std::string& subject, int64_t own_work) const;

  // A frame of `subject` that had this turn is served now and costs `patches`.
  void Serve(const std::string& subject, int64_t turn, int64_t patches);

  // Nothing waits and nothing runs: all subjects are even. The clock does not go back.
  void Rest();

  int64_t clock() const { return clock_; }
  size_t remembered() const { return ends_.size(); }

 private:
  void Forget();

  const size_t most_subjects_;
  int64_t clock_ = 0;
  int64_t latest_end_ = 0;
  std::unordered_map<std::string, int64_t>
      ends_;               // of subjects that are ahead of the clock, or were
  size_t forget_at_ = 64;  // entries at which the past ones are dropped
};

}  // namespace emotion::embedding

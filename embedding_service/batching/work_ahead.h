// How much work stands in line before a turn, without counting frame by frame.
//
// Work is summed by round: 64 patches of turn, one face of each subject. A question walks the
// rounds from both ends at once, so it is short for who comes early (a light subject) and for who
// comes last (the heavy one, or the only one).
#pragma once

#include <cstdint>
#include <map>

namespace emotion::embedding {

struct Work {
  int64_t frames = 0;
  int64_t patches = 0;

  Work& operator+=(const Work& other) {
    frames += other.frames;
    patches += other.patches;
    return *this;
  }
  Work& operator-=(const Work& other) {
    frames -= other.frames;
    patches -= other.patches;
    return *this;
  }
  friend Work operator+(Work a, const Work& b) { return a += b; }
  friend Work operator-(Work a, const Work& b) { return a -= b; }
  friend bool operator==(const Work&, const Work&) = default;
};

class WorkByTurn {
 public:
  static constexpr int64_t kRound = 64;

  void Add(int64_t turn, const Work& work);
  void Remove(int64_t turn, const Work& work);  // what was added with the same turn

  // Of all rounds up to and with that of `turn`.
  Work UpTo(int64_t turn) const;
  const Work& total() const { return total_; }

 private:
  std::map<int64_t, Work> rounds_;
  Work total_;
};

}  // namespace emotion::embedding

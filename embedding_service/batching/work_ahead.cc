#include "embedding_service/batching/work_ahead.h"

#include <iterator>

namespace emotion::embedding {

void WorkByTurn::Add(int64_t turn, const Work& work) {
  rounds_[turn / kRound] += work;
  total_ += work;
}

void WorkByTurn::Remove(int64_t turn, const Work& work) {
  const auto round = rounds_.find(turn / kRound);
  round->second -= work;
  if (round->second == Work{}) rounds_.erase(round);
  total_ -= work;
}

Work WorkByTurn::UpTo(int64_t turn) const {
  const int64_t round = turn / kRound;
  Work before;
  Work behind;
  auto first = rounds_.begin();
  auto last = rounds_.end();
  while (first != last) {
    if (first->first > round) return before;
    before += first->second;
    ++first;
    if (first == last) return before;
    if (std::prev(last)->first <= round) return total_ - behind;
    --last;
    behind += last->second;
  }
  return before;
}

}  // namespace emotion::embedding

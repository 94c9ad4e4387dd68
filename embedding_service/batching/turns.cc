#include "embedding_service/batching/turns.h"

#include <algorithm>

namespace emotion::embedding {

int64_t Turns::Next(const std::string& subject, int64_t own_work) const {
  const auto end = ends_.find(subject);
  return (end == ends_.end() ? clock_ : std::max(clock_, end->second)) + own_work;
}

void Turns::Serve(const std::string& subject, int64_t turn, int64_t patches) {
  clock_ = std::max(clock_, turn);
  int64_t& end = ends_[subject];
  end = std::max(end, turn + patches);
  latest_end_ = std::max(latest_end_, end);
  if (ends_.size() >= forget_at_) Forget();
}

void Turns::Rest() {
  clock_ = std::max(clock_, latest_end_);
  ends_.clear();
  forget_at_ = 64;
}

// An end that the clock has passed says nothing any more. Twice what was left may gather before the
// next look, so that the looks cost little in all.
void Turns::Forget() {
  std::erase_if(ends_, [&](const auto& end) { return end.second <= clock_; });
  if (ends_.size() >= most_subjects_) Rest();
  forget_at_ = std::clamp<size_t>(2 * ends_.size(), 64, std::max<size_t>(most_subjects_, 64));
}

}  // namespace emotion::embedding

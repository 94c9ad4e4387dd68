#include "embedding_service/batching/subjects.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace emotion::embedding {

int64_t Subject::LastTurn(Priority priority) const {
  const auto behind = waiting.upper_bound({priority, std::numeric_limits<int64_t>::max(), 0, 0});
  if (behind == waiting.begin()) return 0;
  const Order& last = *std::prev(behind);
  return last.priority == priority ? last.turn : 0;
}

double Subjects::Part(const Work& work) const {
  return std::max(static_cast<double>(work.frames) / static_cast<double>(queue_limit_),
                  static_cast<double>(work.patches) / static_cast<double>(patch_limit_));
}

Subject* Subjects::Find(const std::string& name) {
  const auto found = subjects_.find(name);
  return found == subjects_.end() ? nullptr : &found->second;
}

const Subject* Subjects::Find(const std::string& name) const {
  const auto found = subjects_.find(name);
  return found == subjects_.end() ? nullptr : &found->second;
}

Subject& Subjects::FindOrAdd(const std::string& name) {
  const auto [subject, is_new] = subjects_.try_emplace(name);
  if (is_new) {
    subject->second.name = name;
    subject->second.id = next_id_++;
  }
  return subject->second;
}

void Subjects::Changed(Subject& subject) {
  if (subject.ranked_as >= 0) ranks_.erase({subject.ranked_as, subject.id, &subject});
  subject.ranked_as = -1;
  if (!subject.waiting.empty()) {
    subject.ranked_as = Part(subject.holds);
    ranks_.insert({subject.ranked_as, subject.id, &subject});
  } else if (subject.holds.frames == 0) {
    subjects_.erase(subjects_.find(subject.name));
  }
}

Subject* Subjects::Largest() const { return ranks_.empty() ? nullptr : ranks_.rbegin()->subject; }

}  // namespace emotion::embedding

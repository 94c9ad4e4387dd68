#include "classifier_service/answer_memory.h"

#include <cstring>

namespace emotion::classifier {

size_t AnswerMemory::KeyHash::operator()(const Digest& key) const {
  size_t first = 0;  // digests are uniform
  std::memcpy(&first, key.data(), sizeof(first));
  return first;
}

Digest AnswerMemory::KeyOf(const v1::Embedding& embedding) {
  Sha256 hash;
  hash.Field(static_cast<uint64_t>(embedding.dtype())).Update(embedding.data());
  return hash.Finish();
}

std::optional<heads::HeadPredictions> AnswerMemory::Find(const Digest& key, TimePoint now) {
  const MutexLock lock(mutex_);
  Forget(now);
  const auto found = answers_.find(key);
  if (found == answers_.end()) return std::nullopt;
  return found->second;
}

void AnswerMemory::Remember(const Digest& key, const heads::HeadPredictions& answer,
                            TimePoint now) {
  const MutexLock lock(mutex_);
  Forget(now);
  if (!answers_.emplace(key, answer).second) return;
  oldest_first_.push_back({.key = key, .expires = now + kKept});
  if (answers_.size() > capacity_) ForgetOldest();
}

size_t AnswerMemory::entries() const {
  const MutexLock lock(mutex_);
  return answers_.size();
}

void AnswerMemory::Forget(TimePoint now) {
  while (!oldest_first_.empty() && oldest_first_.front().expires <= now) ForgetOldest();
}

void AnswerMemory::ForgetOldest() {
  answers_.erase(oldest_first_.front().key);
  oldest_first_.pop_front();
}

}  // namespace emotion::classifier

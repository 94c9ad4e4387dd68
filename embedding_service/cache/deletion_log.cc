#include "embedding_service/cache/deletion_log.h"

#include <algorithm>

namespace emotion::embedding {

void DeletionLog::Record(const std::string& session, int64_t deleted_at_us, TimePoint now) {
  const MutexLock lock(mutex_);
  while (!expiries_.empty() && expiries_.front().at <= now) DropOldest(/*raise_floor=*/false);
  Deletion& deletion = deletions_.try_emplace(session, Deletion{INT64_MIN, 0}).first->second;
  deletion.deleted_at_us = std::max(deletion.deleted_at_us, deleted_at_us);
  deletion.version = next_version_++;
  expiries_.push_back({now + keep_, session, deletion.version});
  // Expiries are what is bounded: one session deleted for ever must not fill the memory either.
  while (expiries_.size() > max_records_) DropOldest(/*raise_floor=*/true);
}

void DeletionLog::DropOldest(bool raise_floor) {
  const Expiry oldest = std::move(expiries_.front());
  expiries_.pop_front();
  const auto found = deletions_.find(oldest.session);
  if (found == deletions_.end() || found->second.version != oldest.version) return;
  if (raise_floor) floor_us_ = std::max(floor_us_, found->second.deleted_at_us);
  deletions_.erase(found);
}

bool DeletionLog::MayStore(const std::string& session, int64_t accepted_at_us) const {
  if (session.empty()) return true;
  const MutexLock lock(mutex_);
  if (accepted_at_us <= floor_us_) return false;
  const auto found = deletions_.find(session);
  return found == deletions_.end() || accepted_at_us > found->second.deleted_at_us;
}

size_t DeletionLog::size() const {
  const MutexLock lock(mutex_);
  return deletions_.size();
}

}  // namespace emotion::embedding

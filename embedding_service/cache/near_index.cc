#include "embedding_service/cache/near_index.h"

#include <algorithm>
#include <utility>

namespace emotion::embedding {
namespace {

// List node, two hash nodes, name and session, allocator headers; of a lane with a session of its
// own.
constexpr size_t kLaneOverheadBytes = 608;

}  // namespace

void NearIndex::Add(Frame frame, TimePoint now, TimePoint expires, const DeletionLog& deletions) {
  if (capacity_bytes_ == 0 || frame.lane.empty() || expires <= now) return;
  const MutexLock lock(mutex_);
  // Under this lock, as Forget writes the log before it comes here: so either the log refuses, or
  // Forget finds the frame.
  if (!deletions.MayStore(frame.session, frame.accepted_at_us)) return;
  const Iterator lane = LaneOf(frame);
  std::vector<Candidate>& candidates = lane->candidates;
  std::erase_if(candidates,
                [&](const Candidate& c) { return c.expires <= now || c.key == frame.key; });
  if (candidates.size() >= kNearCandidates) candidates.erase(candidates.begin());
  candidates.reserve(candidates.size() + 1);  // no more: descriptors are what this consists of
  candidates.push_back({.key = frame.key,
                        .accepted_at_us = frame.accepted_at_us,
                        .expires = expires,
                        .descriptor = frame.descriptor});
  Recount(*lane);
  Trim(now);
}

NearIndex::Iterator NearIndex::LaneOf(const Frame& frame) {
  if (const auto found = by_name_.find(frame.lane); found != by_name_.end()) {
    lanes_.splice(lanes_.begin(), lanes_, found->second);
    return lanes_.begin();
  }
  lanes_.push_front({.name = frame.lane, .session = frame.session, .candidates = {}});
  const Iterator lane = lanes_.begin();
  by_name_.emplace(lane->name, lane);
  by_session_[lane->session].insert(lane->name);
  return lane;
}

NearIndex::Found NearIndex::Find(const NearLane& lane, const Seen& seen, float threshold,
                                 TimePoint now) {
  Found found;
  for (const Candidate& candidate : CandidatesOf(lane)) {
    if (candidate.expires <= now) continue;
    const float similarity = Similarity(seen.descriptor, candidate.descriptor);
    if (similarity >= threshold) {
      found.matches.push_back({candidate.key, similarity});
    } else if (IsFleeting(candidate.accepted_at_us, seen.accepted_at_us)) {
      found.fleeting.push_back(candidate.key);
    }
  }
  std::stable_sort(
      found.matches.begin(), found.matches.end(),
      [](const NearMatch& a, const NearMatch& b) { return a.similarity > b.similarity; });
  if (!found.fleeting.empty()) Drop(lane, found.fleeting);
  return found;
}

std::vector<NearIndex::Candidate> NearIndex::CandidatesOf(const NearLane& lane) const {
  const MutexLock lock(mutex_);
  const auto found = by_name_.find(lane);
  if (found == by_name_.end()) return {};
  return found->second->candidates;
}

void NearIndex::Drop(const NearLane& lane, const std::vector<ContentKey>& keys) {
  const MutexLock lock(mutex_);
  const auto found = by_name_.find(lane);
  if (found == by_name_.end()) return;
  std::erase_if(found->second->candidates, [&](const Candidate& c) {
    return std::find(keys.begin(), keys.end(), c.key) != keys.end();
  });
  Shrunk(found->second);
}

void NearIndex::Forget(const std::string& session, int64_t deleted_at_us) {
  const MutexLock lock(mutex_);
  const auto found = by_session_.find(session);
  if (found == by_session_.end()) return;
  const std::vector<std::string_view> names(found->second.begin(), found->second.end());
  for (const std::string_view name : names) {
    const Iterator lane = by_name_.at(name);
    std::erase_if(lane->candidates,
                  [&](const Candidate& c) { return c.accepted_at_us <= deleted_at_us; });
    Shrunk(lane);
  }
}

void NearIndex::Shrunk(Iterator lane) {
  if (lane->candidates.empty()) {
    Erase(lane);
  } else {
    lane->candidates.shrink_to_fit();
    Recount(*lane);
  }
}

void NearIndex::Recount(Lane& lane) {
  const size_t bytes = kLaneOverheadBytes + lane.candidates.capacity() * sizeof(Candidate);
  bytes_ += bytes - std::exchange(lane.bytes, bytes);
}

void NearIndex::Erase(Iterator lane) {
  const auto session = by_session_.find(lane->session);
  session->second.erase(lane->name);
  if (session->second.empty()) by_session_.erase(session);
  by_name_.erase(lane->name);
  bytes_ -= lane->bytes;
  lanes_.erase(lane);
}

// Lanes whose last frame is too old hold nothing any more: they stand at the end, since what was
// added last lives longest.
void NearIndex::Trim(TimePoint now) {
  while (!lanes_.empty() &&
         (bytes() > capacity_bytes_ || lanes_.back().candidates.back().expires <= now)) {
    Erase(std::prev(lanes_.end()));
  }
}

}  // namespace emotion::embedding

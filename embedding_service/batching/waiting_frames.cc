#include "embedding_service/batching/waiting_frames.h"

namespace emotion::embedding {

void WaitingFrames::Add(const Entry& entry) {
  const Ticket ticket = entry.frame.ticket;
  entries_.emplace(ticket, entry);
  line_.insert(entry.order());
  deadlines_.emplace(entry.frame.deadline, ticket);
  ages_[static_cast<size_t>(entry.seat.priority)].emplace(entry.seat.number, ticket);
  patches_ += entry.frame.patches;
}

std::optional<WaitingFrames::Entry> WaitingFrames::Remove(Ticket ticket) {
  const auto found = entries_.find(ticket);
  if (found == entries_.end()) return std::nullopt;
  const Entry entry = found->second;
  entries_.erase(found);
  line_.erase(entry.order());
  deadlines_.erase({entry.frame.deadline, ticket});
  ages_[static_cast<size_t>(entry.seat.priority)].erase({entry.seat.number, ticket});
  patches_ -= entry.frame.patches;
  return entry;
}

const WaitingFrames::Entry* WaitingFrames::Find(Ticket ticket) const {
  const auto found = entries_.find(ticket);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<Ticket> WaitingFrames::DeadAt(TimePoint now) const {
  std::vector<Ticket> dead;
  for (auto at = deadlines_.begin(); at != deadlines_.end() && at->first <= now; ++at) {
    dead.push_back(at->second);
  }
  return dead;
}

std::optional<TimePoint> WaitingFrames::NextDeadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

const WaitingFrames::Entry* WaitingFrames::Oldest(Priority priority) const {
  const auto& ages = ages_[static_cast<size_t>(priority)];
  return ages.empty() ? nullptr : &At(ages.begin()->second);
}

}  // namespace emotion::embedding

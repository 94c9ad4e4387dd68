#include "gateway/live/open_sessions.h"

namespace emotion::gateway {

void OpenSessions::Open(const std::string& session_key) {
  ++open_[session_key];
  waiting_.erase(session_key);
}

void OpenSessions::Close(const std::string& session_key, bool forget, TimePoint now,
                         uint64_t closed_at_us) {
  const auto found = open_.find(session_key);
  if (found == open_.end() || --found->second > 0) return;
  open_.erase(found);
  if (!forget) return;
  waiting_[session_key] = {closed_at_us, ++last_turn_};
  order_.push_back({session_key, last_turn_, now + after_});
}

void OpenSessions::TakeFront(std::vector<Deletion>& taken) {
  Turn& front = order_.front();
  const auto found = waiting_.find(front.session_key);
  if (found != waiting_.end() && found->second.turn == front.turn) {
    taken.push_back({std::move(front.session_key), found->second.closed_at_us});
    waiting_.erase(found);
  }
  order_.pop_front();
}

std::vector<Deletion> OpenSessions::TakeDue(TimePoint now) {
  std::vector<Deletion> taken;
  while (!order_.empty() && (order_.front().due <= now || order_.size() > most_waiting_)) {
    TakeFront(taken);
  }
  return taken;
}

std::vector<Deletion> OpenSessions::TakeAll() {
  std::vector<Deletion> taken;
  while (!order_.empty()) TakeFront(taken);
  return taken;
}

std::optional<OpenSessions::TimePoint> OpenSessions::NextDue() const {
  if (order_.empty()) return std::nullopt;
  return order_.size() > most_waiting_ ? TimePoint::min() : order_.front().due;
}

}  // namespace emotion::gateway

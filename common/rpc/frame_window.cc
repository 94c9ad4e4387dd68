#include "common/rpc/frame_window.h"

#include "common/error/error.h"
#include "common/rpc/frame_limits.h"
#include "fmt/format.h"

namespace emotion {

absl::Status FrameWindow::Admit(uint64_t frame_id) {
  if (frame_id > kMaxFrameId) {
    return FieldError("frame.frame_id", fmt::format("must be below 2^53; was {}", frame_id));
  }
  if (tickets_.contains(frame_id)) {
    return FieldError("frame.frame_id",
                      fmt::format("{} is in flight on this stream already", frame_id));
  }
  if (draining_) return Error(Reason::kDraining, "this server is about to stop");
  if (tickets_.size() >= size_) {
    return Error(Reason::kQueueFull,
                 fmt::format("{} frames of this stream are unanswered, its window", size_));
  }
  tickets_.emplace(frame_id, 0);
  return absl::OkStatus();
}

bool FrameWindow::SetTicket(uint64_t frame_id, uint64_t ticket) {
  const auto found = tickets_.find(frame_id);
  if (found == tickets_.end()) return false;
  found->second = ticket;
  return withdrawn_.erase(frame_id) > 0;
}

uint64_t FrameWindow::Withdraw(uint64_t frame_id) {
  const auto found = tickets_.find(frame_id);
  if (found == tickets_.end()) return 0;
  if (found->second == 0) withdrawn_.insert(frame_id);
  return found->second;
}

void FrameWindow::Answered(uint64_t frame_id) {
  tickets_.erase(frame_id);
  withdrawn_.erase(frame_id);
}

std::vector<uint64_t> FrameWindow::Tickets() const {
  std::vector<uint64_t> tickets;
  tickets.reserve(tickets_.size());
  for (const auto& [id, ticket] : tickets_) {
    if (ticket != 0) tickets.push_back(ticket);
  }
  return tickets;
}

}  // namespace emotion

// Live frames in the pool: newest wins, and the line in which they wait. See frame_pool.h.
#include "common/error/error.h"
#include "common/rpc/frame_pool_impl.h"

namespace emotion {

// False: the frame is out of date and was answered so. Else it waits in its lane from now on, in
// the place of the frame that waited there.
template <class Hop>
bool FramePool<Hop>::Impl::EnterLane(uint64_t id, bool sent_again, Effects& answers) {
  Ticket& ticket = tickets_.at(id);
  if (!ticket.lane) return true;
  const NewestWins::Arrival arrival =
      lanes_.Arrive(*ticket.lane, ticket.frame.sequence(), id, sent_again, Clock::now());
  if (arrival.superseded) {
    Supersede(id, answers);
    return false;
  }
  if (arrival.predecessor == 0) return true;
  Ticket& older = tickets_.at(arrival.predecessor);
  if (older.turn != 0) {
    ticket.turn = std::exchange(older.turn, 0);
    line_[ticket.turn] = id;
    line_bytes_ += ticket.frame.encoded_image().size();
    line_bytes_ -= older.frame.encoded_image().size();
  }
  Supersede(arrival.predecessor, answers);
  return true;
}

template <class Hop>
void FramePool<Hop>::Impl::Supersede(uint64_t id, Effects& answers) {
  if (options_.metrics != nullptr) options_.metrics->FrameDropped(Reason::kSuperseded);
  Fail(id, Error(Reason::kSuperseded, "a newer frame of the same face arrived"), answers);
}

// Puts a live frame behind those that wait already, and sends what can go now: often itself.
template <class Hop>
void FramePool<Hop>::Impl::LineUp(uint64_t id, Effects& effects) {
  Ticket& ticket = tickets_.at(id);
  if (Usable().empty() && Clock::now() >= patience_until_) return Fail(id, NoReplica(), effects);
  if (ticket.turn == 0) {
    ticket.turn = ++last_turn_;
    line_[ticket.turn] = id;
    line_bytes_ += ticket.frame.encoded_image().size();
  }
  ServeLine(effects);
  const bool too_many =
      line_.size() > options_.most_waiting || line_bytes_ > options_.most_waiting_bytes;
  if (too_many && ticket.turn != 0) Fail(id, WindowsFull(), effects);
}

template <class Hop>
void FramePool<Hop>::Impl::ServeLine(Effects& effects) {
  if (line_.empty()) return;
  const auto streams = Usable();
  while (!line_.empty()) {
    const uint64_t id = line_.begin()->second;
    Ticket& ticket = tickets_.at(id);
    const auto stream = Choose(streams, ticket);
    if (!stream) return;
    LeaveLane(id, ticket);
    Assign(id, ticket, stream, effects);
  }
}

// The frame waits no more: it goes, or is answered. No effect on frames that do not wait.
template <class Hop>
void FramePool<Hop>::Impl::LeaveLane(uint64_t id, Ticket& ticket) {
  if (!ticket.lane) return;
  lanes_.Leave(*ticket.lane, id, Clock::now());
  if (ticket.turn == 0) return;
  line_.erase(std::exchange(ticket.turn, 0));
  line_bytes_ -= ticket.frame.encoded_image().size();
}

// Live frames have patience for a while after the last replica went.
template <class Hop>
void FramePool<Hop>::Impl::NoteReplicas() {
  const bool have = !Usable().empty();
  if (had_replica_ && !have) {
    patience_until_ = std::max(grace_until_, Clock::now() + kResendGrace);
    timers_.At(patience_until_, [this] { EndPatience(); });
  }
  had_replica_ = have;
}

template <class Hop>
void FramePool<Hop>::Impl::EndPatience() {
  Effects effects;
  {
    MutexLock lock(mutex_);
    if (Clock::now() < patience_until_ || !Usable().empty()) return;
    while (!line_.empty()) Fail(line_.begin()->second, NoReplica(), effects);
  }
  Perform(effects);
}

template class FramePool<EmbedHop>::Impl;
template class FramePool<PredictHop>::Impl;

}  // namespace emotion

#include "common/rpc/frame_pool.h"

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/rpc/frame_pool_impl.h"
#include "common/rpc/replica_choice.h"
#include "common/rpc/status.h"
#include "fmt/format.h"

namespace emotion {
namespace {

using std::chrono::milliseconds;

constexpr int kMostCrashes = 2;
// Live frames leave this part of every window free: they wait, others are refused.
constexpr size_t kShareOfThoseWhoDoNotWait = 16;
constexpr milliseconds kRetryDelay{1000};
// A replica that fails so many frames in a row is left alone for a while.
constexpr int kFailuresToEject = 5;
constexpr std::chrono::seconds kEjection{10};
// A replica that lives answers a frame which is withdrawn from it sooner than that, however busy it
// is; one that hangs, or that no packet reaches, says nothing at all.
constexpr std::chrono::seconds kSilenceAfterDeadline{1};

bool BlamesReplica(int code) {
  return code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::UNKNOWN ||
         code == grpc::StatusCode::DATA_LOSS;
}

bool SaysDraining(const google::rpc::Status& status) {
  return status.code() == grpc::StatusCode::UNAVAILABLE &&
         ReasonOf(FromProtoStatus(status)) == Reason::kDraining;
}

}  // namespace

template <class Hop>
// clang-tidy 14 does not see the move in a template. NOLINTNEXTLINE(*-unnecessary-value-param)
uint64_t FramePool<Hop>::Impl::Submit(v1::Frame frame, Callback done) {
  const auto now = Clock::now();
  const auto timeout =
      frame.timeout_ms() > 0
          ? std::min<milliseconds>(milliseconds(frame.timeout_ms()), std::chrono::hours(24))
          : options_.default_timeout;
  Effects effects;
  uint64_t id = 0;
  bool closed = false;
  {
    MutexLock lock(mutex_);
    id = ++last_id_;
    closed = closed_;
    Ticket& ticket = tickets_[id];
    ticket.frame = std::move(frame);
    ticket.lane =
        LaneOf(ticket.frame.session_key(), ticket.frame.face_id(), ticket.frame.sequence());
    ticket.done = std::move(done);
    ticket.deadline = now + timeout;
    if (closed) {
      Fail(id, Error(Reason::kDraining, "this process is stopping"), effects);
    } else {
      ticket.timer = timers_.At(ticket.deadline, [this, id] { Expire(id); });
      // Sending may happen here; the pool's own answers are not given on this stack.
      Effects answers;
      if (EnterLane(id, ticket.frame.attempt() > 0, answers)) {
        Effects own;
        Dispatch(id, now < grace_until_ || options_.in_process != nullptr, own);
        Effects& where = tickets_.contains(id) ? effects : answers;
        where.insert(where.end(), own.begin(), own.end());
      }
      if (!answers.empty()) timers_.Post([answers = std::move(answers)] { Perform(answers); });
    }
  }
  Perform(effects);
  return id;
}

template <class Hop>
void FramePool<Hop>::Impl::Cancel(uint64_t id) {
  Effects effects;
  {
    MutexLock lock(mutex_);
    const auto ticket = tickets_.find(id);
    if (ticket == tickets_.end()) return;
    ticket->second.cancelled = true;
    if (ticket->second.stream) {
      Withdraw(id, ticket->second, effects);
    } else {
      Effects answers;
      Fail(id, Error(Reason::kCancelled, "cancelled by the caller"), answers);
      timers_.Post([answers = std::move(answers)] { Perform(answers); });
    }
  }
  Perform(effects);
}

// Streams that take frames now. Ejected replicas count only where they are the majority.
template <class Hop>
auto FramePool<Hop>::Impl::Usable() const -> std::vector<std::shared_ptr<Stream>> {
  std::vector<std::shared_ptr<Stream>> usable;
  std::vector<std::shared_ptr<Stream>> ejected;
  const auto now = Clock::now();
  for (const auto& [address, replica] : replicas_) {
    if (!replica->stream || replica->stream->phase != Phase::kReady) continue;
    (replica->ejected_until > now ? ejected : usable).push_back(replica->stream);
  }
  // When most fail it is not the replicas' fault.
  if (usable.size() < ejected.size()) usable.insert(usable.end(), ejected.begin(), ejected.end());
  return usable;
}

template <class Hop>
absl::Status FramePool<Hop>::Impl::NoReplica() const {
  const PoolState state = CountReplicas();
  const bool mismatch = state.mismatch > 0;
  const std::string text =
      mismatch ? fmt::format("no {} service has the model that is needed ({} have another)",
                             Hop::kName, state.mismatch)
               : fmt::format("no {} service can be reached ({} known)", Hop::kName, state.total);
  return WithRetry(Error(mismatch ? Reason::kModelMismatch : Reason::kNoReplica, text),
                   kRetryDelay);
}

template <class Hop>
absl::Status FramePool<Hop>::Impl::WindowsFull() const {
  const milliseconds wait(std::max<int64_t>(LeastLoad().queue_wait_ms(), 100));
  return WithRetry(
      Error(Reason::kQueueFull,
            fmt::format("all {} services have as many frames as they take", Hop::kName)),
      wait);
}

// Null: all windows are full.
template <class Hop>
auto FramePool<Hop>::Impl::Choose(const std::vector<std::shared_ptr<Stream>>& streams,
                                  const Ticket& ticket) -> std::shared_ptr<Stream> {
  std::vector<Candidate> candidates;
  for (const auto& stream : streams) {
    const size_t window = stream->window;
    candidates.push_back({stream->replica->address_hash, stream->outstanding.size(),
                          ticket.lane ? window - window / kShareOfThoseWhoDoNotWait : window});
  }
  const auto choice = ChooseReplica(candidates, ticket.frame.session_key(), Random());
  return choice ? streams[*choice] : nullptr;
}

template <class Hop>
void FramePool<Hop>::Impl::Dispatch(uint64_t id, bool may_wait, Effects& effects) {
  Ticket& ticket = tickets_.at(id);
  if (ticket.lane) return LineUp(id, effects);
  const std::vector<std::shared_ptr<Stream>> streams = Usable();
  if (streams.empty()) {
    if (!may_wait) return Fail(id, NoReplica(), effects);
    const auto until = ticket.crashes > 0 ? Clock::now() + kResendGrace
                                          : std::max(grace_until_, Clock::now() + kResendGrace);
    waiting_.push_back(id);
    timers_.At(until, [this, id] { WaitOver(id); });
    return;
  }
  const auto stream = Choose(streams, ticket);
  if (!stream) return Fail(id, WindowsFull(), effects);
  Assign(id, ticket, stream, effects);
}

template <class Hop>
void FramePool<Hop>::Impl::Assign(uint64_t id, Ticket& ticket,
                                  const std::shared_ptr<Stream>& stream, Effects& effects) {
  ticket.stream = stream;
  stream->outstanding.insert(id);
  auto request = std::make_shared<Request>();
  v1::Frame& frame = *request->mutable_frame();
  frame = ticket.frame;
  frame.set_frame_id(id);
  frame.set_attempt(ticket.frame.attempt() + ticket.crashes);
  const auto left =
      std::chrono::duration_cast<milliseconds>(ticket.deadline - Clock::now()).count();
  frame.set_timeout_ms(static_cast<uint32_t>(std::max<int64_t>(left, 1)));
  // Not sent when the stream broke meanwhile: StreamClosed finds the frame among the outstanding.
  effects.push_back([session = stream->session, request] { session->Send(std::move(*request)); });
}

template <class Hop>
void FramePool<Hop>::Impl::DispatchWaiting(Effects& effects) {
  for (const uint64_t id : std::exchange(waiting_, {})) {
    const auto ticket = tickets_.find(id);
    if (ticket != tickets_.end() && !ticket->second.stream) Dispatch(id, true, effects);
  }
  ServeLine(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::WaitOver(uint64_t id) {
  Effects effects;
  {
    MutexLock lock(mutex_);
    const auto ticket = tickets_.find(id);
    if (ticket != tickets_.end() && !ticket->second.stream) Dispatch(id, false, effects);
  }
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::Expire(uint64_t id) {
  Effects effects;
  {
    MutexLock lock(mutex_);
    const auto ticket = tickets_.find(id);
    if (ticket == tickets_.end()) return;
    if (const auto& stream = ticket->second.stream) {
      Withdraw(id, ticket->second, effects);
      timers_.At(Clock::now() + kSilenceAfterDeadline, [id, weak = std::weak_ptr<Stream>(stream)] {
        if (const auto silent = weak.lock()) silent->pool->BlameForSilence(*silent, id);
      });
    }
    Fail(id, Error(Reason::kDeadline, "the frame's time was up before it was answered"), effects);
  }
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::Withdraw(uint64_t id, const Ticket& ticket, Effects& effects) {
  auto request = std::make_shared<Request>();
  request->mutable_cancel()->set_frame_id(id);
  effects.push_back(
      [session = ticket.stream->session, request] { session->Send(std::move(*request)); });
}

template <class Hop>
void FramePool<Hop>::Impl::Answer(uint64_t id, Result result, Effects& effects) {
  const auto found = tickets_.find(id);
  LeaveLane(id, found->second);
  Ticket ticket = std::move(found->second);
  tickets_.erase(found);
  timers_.Cancel(ticket.timer);
  result.set_frame_id(ticket.frame.frame_id());
  auto shared = std::make_shared<Result>(std::move(result));
  effects.push_back([done = std::move(ticket.done), shared] { done(std::move(*shared)); });
}

template <class Hop>
void FramePool<Hop>::Impl::Fail(uint64_t id, const absl::Status& status, Effects& effects) {
  Result result;
  ToProtoStatus(status, result.mutable_status());
  result.set_next_frame_after_ms(LeastLoad().next_frame_after_ms());
  Answer(id, std::move(result), effects);
}

template <class Hop>
void FramePool<Hop>::Impl::CountOutcome(Replica& replica, bool failed) {
  replica.failures = failed ? replica.failures + 1 : 0;
  if (replica.failures < kFailuresToEject) return;
  replica.failures = 0;
  replica.ejected_until = Clock::now() + kEjection;
  LogWarning("replica ejected", {{"hop", Hop::kName}, {"replica", replica.address}});
}

// The frame's time is over, and so is that in which its replica could still have said anything.
template <class Hop>
void FramePool<Hop>::Impl::BlameForSilence(Stream& stream, uint64_t id) {
  MutexLock lock(mutex_);
  if (stream.outstanding.contains(id)) CountOutcome(*stream.replica, /*failed=*/true);
}

template <class Hop>
void FramePool<Hop>::Impl::TakeResult(const std::shared_ptr<Stream>& stream, Result result,
                                      Effects& effects) {
  const uint64_t id = result.frame_id();
  if (stream->outstanding.erase(id) == 0) return;  // an answer to nothing that was asked
  CountOutcome(*stream->replica, BlamesReplica(result.status().code()));
  const auto ticket = tickets_.find(id);
  if (ticket != tickets_.end() && ticket->second.stream == stream) {
    if (SaysDraining(result.status())) {
      StartDraining(*stream, effects);
      Resend(id, /*crashed=*/false, effects);
    } else {
      Answer(id, std::move(result), effects);
    }
  }
  Effects next;
  ServeLine(next);
  if (local_ && !next.empty()) {
    // A local answer comes on the encoder's thread, which is not to be held up by what follows it.
    timers_.Post([next = std::move(next)] { Perform(next); });
  } else {
    effects.insert(effects.end(), next.begin(), next.end());
  }
  EndIfDrained(*stream, effects);
}

// The frame's stream is lost to it: sends it elsewhere, or answers it.
template <class Hop>
void FramePool<Hop>::Impl::Resend(uint64_t id, bool crashed, Effects& effects) {
  Ticket& ticket = tickets_.at(id);
  ticket.stream = nullptr;
  if (ticket.cancelled || closed_) {
    return Fail(id, Error(Reason::kCancelled, "cancelled by the caller"), effects);
  }
  if (crashed && ++ticket.crashes >= kMostCrashes) {
    if (options_.metrics != nullptr) options_.metrics->Incident(IncidentKind::kFrameRefused);
    return Fail(id,
                Error(Reason::kFrameRefused, "two replicas broke off while they had this frame"),
                effects);
  }
  if (!EnterLane(id, /*sent_again=*/true, effects)) return;
  if (crashed && options_.metrics != nullptr) options_.metrics->Incident(IncidentKind::kResend);
  Dispatch(id, true, effects);
}

template <class Hop>
void FramePool<Hop>::Impl::Close() {
  Effects effects;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    while (!tickets_.empty()) {
      Fail(tickets_.begin()->first, Error(Reason::kCancelled, "this process is stopping"), effects);
    }
    waiting_.clear();
    for (const auto& [address, replica] : replicas_) {
      if (replica->stream && replica->stream->session) {
        effects.push_back([session = replica->stream->session] { session->Cancel(); });
      }
    }
  }
  Perform(effects);
  {
    MutexLock lock(mutex_);
    while (open_streams_ > 0) streams_changed_.Wait(mutex_);
    replicas_.clear();
  }
  timers_.Stop();
  resolver_.reset();
}

template <class Hop>
FramePool<Hop>::FramePool(Options options, LocalStreamMaker<Hop> local)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(local))) {
  impl_->Start();
}
template <class Hop>
FramePool<Hop>::~FramePool() {
  Close();
}
template <class Hop>
uint64_t FramePool<Hop>::Submit(v1::Frame frame, Callback done) {
  return impl_->Submit(std::move(frame), std::move(done));
}
template <class Hop>
void FramePool<Hop>::Cancel(uint64_t ticket) {
  impl_->Cancel(ticket);
}
template <class Hop>
PoolState FramePool<Hop>::State() const {
  return impl_->State();
}
template <class Hop>
std::vector<std::shared_ptr<grpc::Channel>> FramePool<Hop>::Channels() const {
  return impl_->Channels();
}
template <class Hop>
void FramePool<Hop>::Rejudge() {
  impl_->Rejudge();
}
template <class Hop>
void FramePool<Hop>::Close() {
  impl_->Close();
}

template class FramePool<EmbedHop>;
template class FramePool<PredictHop>;

}  // namespace emotion

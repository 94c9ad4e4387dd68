#include "bench/load/session.h"

#include <algorithm>

namespace emotion::bench {
namespace {

constexpr std::chrono::milliseconds kWithdrawWithin{50};

FrameClock::Options ClockOptions(const LoadOptions& options, const LinkIdentity& identity,
                                 double fps) {
  return {.fps = fps,
          .jitter = options.jitter,
          .arrivals = options.arrivals,
          .seed = options.seed * 1'000'003U + static_cast<uint32_t>(identity.session)};
}

}  // namespace

WebcamSession::WebcamSession(World& world, const LinkIdentity& identity, double fps)
    : world_(world),
      identity_(identity),
      clock_(world.plan, ClockOptions(world.options, identity, fps)),
      random_(world.options.seed * 7919U + static_cast<uint32_t>(identity.session) + 1),
      due_(world.io),
      reconnect_(world.io) {
  random_.discard(3);
}

WebcamSession::~WebcamSession() {
  *alive_ = false;
  if (link_) link_->Close();
}

void WebcamSession::Connect() {
  last_id_ = 0;
  left_ = false;
  link_ = world_.make_link(identity_, *this);
  link_->Open();
}

void WebcamSession::Begin(std::chrono::steady_clock::time_point begin) {
  begin_ = begin;
  ScheduleNext();
}

void WebcamSession::End() {
  finished_ = true;
  due_.cancel();
  reconnect_.cancel();
  if (link_) link_->Close();
  ready_ = false;
  FailUnanswered("UNANSWERED");
}

void WebcamSession::ScheduleNext() {
  const std::optional<FrameTime> next = clock_.Next();
  if (!next) {
    finished_ = true;
    return;
  }
  next_ = *next;
  due_.expires_at(begin_ + next_.due);
  due_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled && !finished_) Tick();
  });
}

void WebcamSession::Tick() {
  const FrameRecord frame{.session = identity_.session, .time = next_};
  if (left_) {
    // The laptop is shut: there is no frame.
  } else if (world_.options.follow_pace && frame.time.due < pace_until_) {
    world_.tally.HeldBack(frame);
  } else {
    world_.tally.Offered(frame);
    SendFrame(frame);
  }
  ScheduleNext();
}

void WebcamSession::SendFrame(const FrameRecord& frame) {
  if (!ready_) {
    world_.tally.Answered(frame, AnswerOfReason("NOT_CONNECTED"), Now());
    return;
  }
  const uint64_t id = ++last_id_;
  unanswered_[id] = frame;
  const Offset now = Now();
  world_.tally.Sent(frame, now);
  link_->Send({.id = id, .image = NextImage(), .timeout = TimeLeft(frame)});
  if (Happens(world_.options.cancel_share)) WithdrawSoon(id);
  if (Happens(world_.options.disconnect_share)) Disconnect();
}

std::string WebcamSession::NextImage() {
  const double dice = Uniform();
  const LoadOptions& options = world_.options;
  if (dice < options.near_share) {
    ++nuance_;
  } else if (dice >= options.near_share + options.repeat_share || picture_ == 0) {
    picture_ = world_.first_picture + (uint64_t{identity_.session} << 32U) + ++pictures_;
  }
  return world_.images.Make(picture_, nuance_);
}

std::chrono::milliseconds WebcamSession::TimeLeft(const FrameRecord& frame) {
  const LoadOptions& options = world_.options;
  if (Happens(options.short_share)) return options.short_deadline;
  const auto late = std::chrono::floor<std::chrono::milliseconds>(Now() - frame.time.due);
  return std::max(std::chrono::milliseconds(1), options.deadline - late);
}

void WebcamSession::OnAnswer(uint64_t id, const Answer& answer) {
  const auto found = unanswered_.find(id);
  if (found == unanswered_.end()) return;  // withdrawn
  const FrameRecord frame = found->second;
  unanswered_.erase(found);
  world_.tally.Answered(frame, answer, Now());
  if (answer.next_frame_after) pace_until_ = frame.time.due + *answer.next_frame_after;
}

void WebcamSession::OnLost() {
  ++world_.cut_off;
  ready_ = false;
  FailUnanswered("CONNECTION");
  ReconnectSoon();
}

void WebcamSession::WithdrawSoon(uint64_t id) {
  auto timer = std::make_shared<boost::asio::steady_timer>(world_.io);
  timer->expires_after(
      std::chrono::duration_cast<std::chrono::nanoseconds>(kWithdrawWithin * Uniform()));
  timer->async_wait([this, timer, id, alive = alive_, link = link_](boost::system::error_code) {
    if (*alive && link == link_) Withdraw(id);
  });
}

void WebcamSession::Withdraw(uint64_t id) {
  const auto found = unanswered_.find(id);
  if (found == unanswered_.end()) return;
  world_.tally.Withdrawn(found->second);
  unanswered_.erase(found);
  link_->Withdraw(id);
}

void WebcamSession::Disconnect() {
  link_->Close();
  ready_ = false;
  left_ = true;
  for (const auto& [id, frame] : unanswered_) world_.tally.Withdrawn(frame);
  unanswered_.clear();
  ReconnectSoon();
}

// Jittered by half, as clients should.
void WebcamSession::ReconnectSoon() {
  if (finished_) return;
  const auto after = world_.options.reconnect_after * (0.5 + Uniform());
  reconnect_.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(after));
  reconnect_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled && !finished_) Connect();
  });
}

void WebcamSession::FailUnanswered(const char* reason) {
  for (const auto& [id, frame] : unanswered_) {
    world_.tally.Answered(frame, AnswerOfReason(reason), Now());
  }
  unanswered_.clear();
}

}  // namespace emotion::bench

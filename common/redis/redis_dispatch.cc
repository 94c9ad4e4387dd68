#include "common/redis/redis_dispatch.h"

#include <algorithm>
#include <utility>

#include "common/log/log.h"
#include "fmt/format.h"

namespace emotion {
namespace {

using std::chrono::steady_clock;

// Together on their way at most; what is more waits for the next turn.
constexpr size_t kMostCalls = 32;
constexpr size_t kMostBytes = 512 * 1024;

constexpr std::chrono::milliseconds kFirstRetry{20};
constexpr std::chrono::milliseconds kLongestRetry{1000};

void AnswerAll(const std::vector<RedisCall>& calls, const absl::Status& status) {
  for (const RedisCall& call : calls) call.done(status);
}

}  // namespace

RedisDispatch::RedisDispatch(const RedisOptions& options, Metrics& metrics)
    : options_(options),
      metrics_(metrics),
      breaker_(options.breaker),
      random_(std::random_device{}()) {
  for (size_t i = 0; i < options.connections; ++i) lanes_.push_back(std::make_unique<Lane>());
  metrics_.SetRedisBreakerOpen(false);
}

void RedisDispatch::Submit(RedisCall call) {
  if (absl::Status refusal = Admit(call); !refusal.ok()) call.done(refusal);
}

absl::Status RedisDispatch::Admit(RedisCall& call) {
  MutexLock lock(mutex_);
  absl::Status refusal = Refusal();
  if (!refusal.ok()) return refusal;
  waiting_.push_back(std::move(call));
  WakeOne();
  return absl::OkStatus();
}

void RedisDispatch::Stop() {
  std::vector<RedisCall> unanswered;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    unanswered = TakeAllWaiting();
    Update();
    NoteAttempt();  // there will be none
  }
  stop_.Signal();
  AnswerAll(unanswered, absl::UnavailableError("the Redis client is stopping"));
}

void RedisDispatch::AwaitFirstAttempt(TimePoint deadline) {
  MutexLock lock(mutex_);
  while (!attempted_ && first_attempt_.WaitUntil(mutex_, deadline)) {
  }
}

void RedisDispatch::NoteAttempt() {
  if (!std::exchange(attempted_, true)) first_attempt_.NotifyAll();
}

absl::Status RedisDispatch::Refusal() const {
  if (stopping_) return absl::UnavailableError("the Redis client is stopping");
  if (!breaker_.closed()) return absl::UnavailableError("Redis is left alone after failures");
  if (!up()) return absl::UnavailableError("not connected to Redis");
  if (waiting_.size() < options_.max_waiting) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("{} calls to Redis wait already", options_.max_waiting));
}

RedisDispatch::Attempt RedisDispatch::NextAttempt(size_t worker) {
  MutexLock lock(mutex_);
  const TimePoint now = steady_clock::now();
  Lane& lane = *lanes_[worker];
  switch (breaker_.state()) {
    case CircuitBreaker::State::kClosed:
      return {.now = now >= lane.next_attempt, .at = lane.next_attempt};
    case CircuitBreaker::State::kOpen:
      if (breaker_.StartProbe(now)) return {.now = true, .probe = true, .at = now};
      return {.at = breaker_.probe_at()};
    case CircuitBreaker::State::kHalfOpen:
      break;  // another worker's probe: its end wakes this one
  }
  return {.at = now + kLongestRetry};
}

void RedisDispatch::Connected(size_t worker, bool probe) {
  MutexLock lock(mutex_);
  Lane& lane = *lanes_[worker];
  lane.connected = true;
  if (probe) {
    breaker_.ProbeSucceeded();
  } else {
    breaker_.Success();
  }
  Update();
  NoteAttempt();
}

void RedisDispatch::ConnectFailed(size_t worker, bool probe, const absl::Status& why) {
  std::vector<RedisCall> unanswered;
  {
    MutexLock lock(mutex_);
    const TimePoint now = steady_clock::now();
    Lane& lane = *lanes_[worker];
    lane.next_attempt = now + JitteredDelay(lane.attempts++, kFirstRetry, kLongestRetry, Random());
    if (probe) {
      breaker_.ProbeFailed(now, Random());
    } else {
      CountFailure(why);
    }
    Update();
    NoteAttempt();
    if (!up()) unanswered = TakeAllWaiting();
  }
  AnswerAll(unanswered, absl::UnavailableError("Redis is left alone after failures"));
}

std::optional<std::vector<RedisCall>> RedisDispatch::Take(size_t worker) {
  MutexLock lock(mutex_);
  lanes_[worker]->idle = false;
  if (!breaker_.closed()) return std::nullopt;
  std::vector<RedisCall> calls;
  size_t bytes = 0;
  while (!waiting_.empty() && calls.size() < kMostCalls && bytes < kMostBytes) {
    bytes += waiting_.front().bytes;
    calls.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  lanes_[worker]->idle = calls.empty();
  return calls;
}

void RedisDispatch::Finished(size_t worker, const absl::Status& result) {
  std::vector<RedisCall> unanswered;
  {
    MutexLock lock(mutex_);
    if (result.ok()) {
      lanes_[worker]->attempts = 0;
      breaker_.Success();
      return;
    }
    CountFailure(result);
    Update();
    if (!up()) unanswered = TakeAllWaiting();
  }
  AnswerAll(unanswered, absl::UnavailableError("Redis is left alone after failures"));
}

void RedisDispatch::Lost(size_t worker, const absl::Status& why) {
  std::vector<RedisCall> unanswered;
  {
    MutexLock lock(mutex_);
    Lane& lane = *lanes_[worker];
    lane.connected = lane.idle = false;
    lane.next_attempt =
        steady_clock::now() + JitteredDelay(lane.attempts++, kFirstRetry, kLongestRetry, Random());
    Update();
    if (!up()) unanswered = TakeAllWaiting();
    if (!waiting_.empty()) WakeOne();  // this worker may have been woken for them
  }
  AnswerAll(unanswered, absl::UnavailableError(std::string(why.message())));
}

std::vector<RedisCall> RedisDispatch::TakeAllWaiting() {
  std::vector<RedisCall> calls(std::make_move_iterator(waiting_.begin()),
                               std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  return calls;
}

// What follows from a change of the breaker or of a worker's connection.
void RedisDispatch::Update() {
  const bool connected =
      std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->connected; });
  up_ = connected && breaker_.closed() && !stopping_;
  const bool open = !breaker_.closed();
  if (open == breaker_shown_open_) return;
  breaker_shown_open_ = open;
  metrics_.SetRedisBreakerOpen(open);
  // Both as warnings: their number is limited, and a server may go back and forth for days.
  LogWarning(open ? "Redis is left alone after failures" : "Redis answers again");
  // Idle ones let go of their connections, unconnected ones connect.
  for (const auto& lane : lanes_) lane->wake.Signal();
}

void RedisDispatch::WakeOne() {
  const auto lane = std::find_if(lanes_.begin(), lanes_.end(),
                                 [](const auto& candidate) { return candidate->idle; });
  if (lane == lanes_.end()) return;  // a busy one takes it in its next turn
  (*lane)->idle = false;
  (*lane)->wake.Signal();
}

void RedisDispatch::CountFailure(const absl::Status& why) {
  LogWarning("Redis failed", {{"reason", std::string(why.message())}});
  breaker_.Failure(steady_clock::now(), Random());
}

double RedisDispatch::Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

}  // namespace emotion

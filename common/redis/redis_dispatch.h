// Which call goes where: the calls that wait, the workers that are connected or idle, and the
// breaker, under one lock. Between the callers of a RedisClient and its workers.
//
// A worker is one thread with one connection, named by its index. It asks NextAttempt() until it is
// connected, then Take() and Finished() in turn, and says Lost() when its connection is gone.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/observe/metrics.h"
#include "common/redis/redis_client.h"
#include "common/redis/socket_wait.h"
#include "common/sync/mutex.h"

namespace emotion {

struct RedisCall {
  std::vector<RedisCommand> commands;
  size_t bytes = 0;  // of their arguments
  RedisClient::Done done;
  std::chrono::steady_clock::time_point deadline;
};

class RedisDispatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  RedisDispatch(const RedisOptions& options, Metrics& metrics);

  // Any thread. Answers the call itself when nobody can take it.
  void Submit(RedisCall call) EXCLUDES_LOCK(mutex_);
  void Stop() EXCLUDES_LOCK(mutex_);
  bool up() const { return up_.load(std::memory_order_relaxed); }
  // Until a worker is connected, or failed to, or Stop().
  void AwaitFirstAttempt(TimePoint deadline) EXCLUDES_LOCK(mutex_);

  // When worker may try to connect: now, or at `at`, unless its wake event comes before.
  struct Attempt {
    bool now = false;
    bool probe = false;  // of the breaker; given back with the result
    TimePoint at;
  };
  Attempt NextAttempt(size_t worker) EXCLUDES_LOCK(mutex_);
  void Connected(size_t worker, bool probe) EXCLUDES_LOCK(mutex_);
  void ConnectFailed(size_t worker, bool probe, const absl::Status& why) EXCLUDES_LOCK(mutex_);

  // The next calls of a connected worker; none: it is idle now, and woken when there are some.
  // nullopt: the breaker is open, let go of the connection.
  std::optional<std::vector<RedisCall>> Take(size_t worker) EXCLUDES_LOCK(mutex_);
  // How an exchange with the server went.
  void Finished(size_t worker, const absl::Status& result) EXCLUDES_LOCK(mutex_);
  // The connection is gone. With the last one, whatever waits is answered.
  void Lost(size_t worker, const absl::Status& why) EXCLUDES_LOCK(mutex_);

  int stop_fd() const { return stop_.fd(); }
  int wake_fd(size_t worker) const { return lanes_[worker]->wake.fd(); }
  void ClearWake(size_t worker) { lanes_[worker]->wake.Clear(); }

 private:
  struct Lane {
    WakeEvent wake;
    bool connected = false;
    bool idle = false;
    int attempts = 0;  // to connect, since an exchange went well
    TimePoint next_attempt{};
  };

  // Takes the call, or says why not.
  absl::Status Admit(RedisCall& call) EXCLUDES_LOCK(mutex_);
  std::vector<RedisCall> TakeAllWaiting() REQUIRES_LOCK(mutex_);  // to answer without the lock
  absl::Status Refusal() const REQUIRES_LOCK(mutex_);

  void Update() REQUIRES_LOCK(mutex_);
  void NoteAttempt() REQUIRES_LOCK(mutex_);
  void WakeOne() REQUIRES_LOCK(mutex_);
  void CountFailure(const absl::Status& why) REQUIRES_LOCK(mutex_);
  double Random() REQUIRES_LOCK(mutex_);

  const RedisOptions& options_;
  Metrics& metrics_;
  WakeEvent stop_;
  std::atomic<bool> up_ = false;

  Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // their events are used without the lock
  std::deque<RedisCall> waiting_ GUARDED_BY(mutex_);
  CircuitBreaker breaker_ GUARDED_BY(mutex_);
  bool breaker_shown_open_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool attempted_ GUARDED_BY(mutex_) = false;  // to connect, to the end
  CondVar first_attempt_;
  std::minstd_rand random_ GUARDED_BY(mutex_);
};

}  // namespace emotion

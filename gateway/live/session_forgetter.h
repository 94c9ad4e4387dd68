// Forgets sessions that closed and stayed away: OpenSessions with a timer and a way to the
// classifier services. Safe from any thread.
//
// At most kMostDeletionsAtOnce calls run at a time; one that fails is sent again, up to three
// times.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "common/rpc/timer_thread.h"
#include "common/sync/mutex.h"
#include "gateway/live/live_backend.h"
#include "gateway/live/open_sessions.h"

namespace emotion::gateway {

inline constexpr int kMostDeletionsAtOnce = 16;

class SessionForgetter {
 public:
  // Borrows `backend`. `now_us`: Unix time in microseconds.
  SessionForgetter(LiveBackend& backend, std::chrono::milliseconds after,
                   std::function<uint64_t()> now_us);
  ~SessionForgetter();  // as Stop(now)
  SessionForgetter(const SessionForgetter&) = delete;
  SessionForgetter& operator=(const SessionForgetter&) = delete;

  void Open(const std::string& session_key);
  void Close(const std::string& session_key, bool forget);

  // Sends what still waits, without waiting for its time, and returns when all is answered or at
  // `deadline`. The backend answers what is left before it goes.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Task {
    Deletion deletion;
    int attempts = 0;
  };

  void Sweep();
  void ScheduleSweep() REQUIRES_LOCK(mutex_);
  void SendReady();
  void Send(Task task);
  void Answered(Task task, const absl::Status& status);

  LiveBackend& backend_;
  const std::function<uint64_t()> now_us_;
  Mutex mutex_;
  CondVar changed_;
  OpenSessions sessions_ GUARDED_BY(mutex_);
  std::deque<Task> ready_ GUARDED_BY(mutex_);
  int calls_ GUARDED_BY(mutex_) = 0;
  bool scheduled_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  TimerThread timers_;
};

}  // namespace emotion::gateway

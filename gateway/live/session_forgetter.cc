#include "gateway/live/session_forgetter.h"

#include <utility>

#include "common/log/log.h"

namespace emotion::gateway {
namespace {

constexpr int kMostAttempts = 3;
constexpr std::chrono::seconds kRetryAfter{2};

}  // namespace

SessionForgetter::SessionForgetter(LiveBackend& backend, std::chrono::milliseconds after,
                                   std::function<uint64_t()> now_us)
    : backend_(backend), now_us_(std::move(now_us)), sessions_(after) {}

SessionForgetter::~SessionForgetter() { Stop(std::chrono::steady_clock::now()); }

void SessionForgetter::Open(const std::string& session_key) {
  MutexLock lock(mutex_);
  sessions_.Open(session_key);
}

void SessionForgetter::Close(const std::string& session_key, bool forget) {
  MutexLock lock(mutex_);
  sessions_.Close(session_key, forget, std::chrono::steady_clock::now(), now_us_());
  ScheduleSweep();
}

void SessionForgetter::ScheduleSweep() {
  const auto due = sessions_.NextDue();
  if (!due || scheduled_ || stopping_) return;
  scheduled_ = true;
  timers_.At(*due, [this] { Sweep(); });
}

void SessionForgetter::Sweep() {
  {
    MutexLock lock(mutex_);
    scheduled_ = false;
    for (Deletion& deletion : sessions_.TakeDue(std::chrono::steady_clock::now())) {
      ready_.push_back({std::move(deletion)});
    }
    ScheduleSweep();
  }
  SendReady();
}

void SessionForgetter::SendReady() {
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      if (ready_.empty() || calls_ >= kMostDeletionsAtOnce) return;
      task = std::move(ready_.front());
      ready_.pop_front();
      ++calls_;
    }
    Send(std::move(task));
  }
}

void SessionForgetter::Send(Task task) {
  ++task.attempts;
  v1::DeleteSessionRequest request;
  request.set_session_key(task.deletion.session_key);
  request.set_deleted_at_us(task.deletion.deleted_at_us);
  backend_.Forget(request, [this, task = std::move(task)](const absl::Status& status) {
    Answered(task, status);
  });
}

// Sends on from the timer's thread: answers come on gRPC's, sometimes from inside Forget.
void SessionForgetter::Answered(Task task, const absl::Status& status) {
  MutexLock lock(mutex_);
  --calls_;
  if (!status.ok() && task.attempts < kMostAttempts && !stopping_) {
    timers_.At(std::chrono::steady_clock::now() + kRetryAfter, [this, task = std::move(task)] {
      {
        MutexLock again(mutex_);
        ready_.push_back(task);
      }
      SendReady();
    });
  } else if (!status.ok()) {
    LogWarning("a closed session could not be forgotten",
               {{"error", std::string(status.message().data(), status.message().size())}});
  }
  timers_.Post([this] { SendReady(); });
  changed_.NotifyAll();
}

void SessionForgetter::Stop(std::chrono::steady_clock::time_point deadline) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    for (Deletion& deletion : sessions_.TakeAll()) ready_.push_back({std::move(deletion)});
  }
  SendReady();
  {
    MutexLock lock(mutex_);
    while (calls_ > 0 || !ready_.empty()) {
      if (!changed_.WaitUntil(mutex_, deadline)) break;
    }
  }
}

}  // namespace emotion::gateway

// Watches that writes of one stream make progress. Owned by a session, guarded by its lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>

namespace emotion {

class SlowPeerTimer {
 public:
  explicit SlowPeerTimer(std::chrono::milliseconds timeout) : timeout_(timeout) {}

  bool armed() const { return alarm_ != nullptr; }

  // Calls `check` on a gRPC thread after the timeout; `writes_done` is what was done by now.
  void Arm(uint64_t writes_done, std::function<void()> check) {
    writes_done_ = writes_done;
    // A new alarm each time: one that is set anew inside its own callback destroys the function
    // that runs.
    alarm_ = std::make_unique<grpc::Alarm>();
    const gpr_timespec deadline = gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_.count(), GPR_TIMESPAN));
    alarm_->Set(deadline, [check = std::move(check)](bool ok) {
      if (ok) check();
    });
  }

  void Disarm() { alarm_.reset(); }

  // Whether nothing was written since Arm.
  bool Stuck(uint64_t writes_done) const { return writes_done == writes_done_; }

 private:
  const std::chrono::milliseconds timeout_;
  uint64_t writes_done_ = 0;
  std::unique_ptr<grpc::Alarm> alarm_;
};

}  // namespace emotion

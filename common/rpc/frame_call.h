// A unary call about one frame: hand it to the backend, finish the call with its result.
//
// An error is the call's own status, never the result's; the time left is the smaller of the call's
// deadline and the frame's timeout_ms; a caller that leaves withdraws the frame.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "common/rpc/frame_backend.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"

namespace emotion {

// The frame's timeout_ms cut to what the call's deadline leaves, at least 1 ms; untouched when the
// call has none.
inline uint32_t TimeLeftMs(uint32_t timeout_ms, std::chrono::system_clock::time_point deadline) {
  if (deadline == std::chrono::system_clock::time_point::max()) return timeout_ms;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::system_clock::now());
  const int64_t most = timeout_ms == 0 ? UINT32_MAX : timeout_ms;
  return static_cast<uint32_t>(std::clamp<int64_t>(left.count(), 1, most));
}

template <class Result>
class FrameCall final : public grpc::ServerUnaryReactor {
 public:
  // Writes the response of a good result.
  using Write = std::function<void(Result)>;
  // Sees the status before it is sent; for metrics.
  using Observe = std::function<void(const grpc::Status&)>;

  // For service methods: `return FrameCall<v1::EmbedResult>::Start(...)`. Deletes itself.
  static grpc::ServerUnaryReactor* Start(FrameBackend<Result>& backend,
                                         grpc::CallbackServerContext* context, v1::Frame frame,
                                         Write write, Observe observe) {
    frame.set_timeout_ms(TimeLeftMs(frame.timeout_ms(), context->deadline()));
    auto* call = new FrameCall(backend, std::move(write), std::move(observe));
    // The reactor is not bound before this returns, so OnDone cannot delete it meanwhile.
    const uint64_t ticket = backend.Submit(
        std::move(frame), [call](Result result) { call->Answer(std::move(result)); });
    call->SetTicket(ticket);
    return call;
  }

  void OnCancel() override {
    uint64_t ticket = 0;
    {
      MutexLock lock(mutex_);
      cancelled_ = true;
      ticket = ticket_;
    }
    if (ticket != 0) backend_.Cancel(ticket);
  }

  void OnDone() override { delete this; }

 private:
  FrameCall(FrameBackend<Result>& backend, Write write, Observe observe)
      : backend_(backend), write_(std::move(write)), observe_(std::move(observe)) {}

  void SetTicket(uint64_t ticket) {
    bool cancelled = false;
    {
      MutexLock lock(mutex_);
      ticket_ = ticket;
      cancelled = cancelled_;
    }
    if (cancelled) backend_.Cancel(ticket);
  }

  void Answer(Result result) {
    const absl::Status status = FromProtoStatus(result.status());
    if (status.ok()) write_(std::move(result));
    const grpc::Status mapped = ToGrpcStatus(status);
    observe_(mapped);
    Finish(mapped);
  }

  FrameBackend<Result>& backend_;
  const Write write_;
  const Observe observe_;
  Mutex mutex_;
  uint64_t ticket_ GUARDED_BY(mutex_) = 0;
  bool cancelled_ GUARDED_BY(mutex_) = false;
};

}  // namespace emotion

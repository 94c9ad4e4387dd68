// The server's side of bidi_session.h on gRPC's callback API. Include bidi_session.h instead.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/bidi_session.h"
#include "common/rpc/session_core.h"
#include "common/rpc/slow_peer_timer.h"
#include "common/sync/mutex.h"

namespace emotion::internal {

// Why the reactor is alive whenever it is used: writes and the close are decided under the lock,
// and the close (Finish, without which OnDone never comes) waits for the write; reads are started
// only inside reactions, during which gRPC holds the call.
template <class Request, class Response>
class ServerSessionImpl final
    : public ServerSession<Request, Response>,
      public std::enable_shared_from_this<ServerSessionImpl<Request, Response>> {
 public:
  using Handler = ServerSessionHandler<Request, Response>;

  ServerSessionImpl(grpc::CallbackServerContext* context, std::shared_ptr<Handler> handler,
                    const SessionLimits& limits)
      : context_(context),
        peer_(context->peer() == "unknown" ? "inproc" : context->peer()),
        handler_(std::move(handler)),
        core_(limits, SessionSide::kServer),
        timer_(limits.slow_peer_timeout) {}

  grpc::ServerBidiReactor<Request, Response>* Start() {
    auto* reactor = new Reactor(this);
    reactor_ = reactor;
    {
      MutexLock lock(mutex_);
      self_ = this->shared_from_this();
    }
    handler_->OnOpen(this->shared_from_this());
    Apply([](auto& core) { core.Open(); });
    return reactor;
  }

  bool Send(Response response) override {
    bool sent = false;
    bool overflowing = false;
    Apply([&](auto& core) {
      sent = core.Push(std::move(response));
      overflowing = core.overflowing();
    });
    if (overflowing) CutOff();
    return sent;
  }

  void Finish(grpc::Status status) override {
    Apply([&](auto& core) {
      if (core.Close()) final_status_ = std::move(status);
    });
  }

  const std::string& peer() const override { return peer_; }

 private:
  // Lives from Start to OnDone, as gRPC wants; everything else lives in the session.
  class Reactor final : public grpc::ServerBidiReactor<Request, Response> {
   public:
    explicit Reactor(ServerSessionImpl* session) {
      session_.store(session, std::memory_order_release);
    }

    void OnReadDone(bool ok) override { session().ReadDone(ok); }
    void OnWriteDone(bool ok) override {
      session().Apply([ok](auto& core) { core.WriteDone(ok); });
    }
    void OnCancel() override {
      session().Apply([](auto& core) { core.Break(); });
    }
    void OnDone() override {
      const std::shared_ptr<ServerSessionImpl> session = this->session().TakeSelf();
      delete this;
      session->Over();
    }

   private:
    ServerSessionImpl& session() { return *session_.load(std::memory_order_acquire); }

    // gRPC orders the reactions after the start; the atomic lets the thread sanitizer, which does
    // not see into gRPC, know it.
    std::atomic<ServerSessionImpl*> session_ = nullptr;
  };

  // Changes the state and starts what follows from it. gRPC is called without the lock, because it
  // may run other streams' callbacks.
  template <class Change>
  void Apply(Change change) EXCLUDES_LOCK(mutex_) {
    SessionSteps steps;
    const Response* message = nullptr;
    grpc::Status status;
    {
      MutexLock lock(mutex_);
      change(core_);
      steps = core_.Next();
      message = &core_.current();
      if (steps.close) status = FinalStatus();
      if (steps.write && !timer_.armed()) ArmTimer();
    }
    if (steps.read) reactor_->StartRead(&request_);
    if (steps.write) reactor_->StartWrite(message);
    if (steps.close) reactor_->Finish(std::move(status));
  }

  grpc::Status FinalStatus() REQUIRES_LOCK(mutex_) {
    return core_.broken() ? grpc::Status(grpc::StatusCode::CANCELLED, "the client left")
                          : final_status_;
  }

  void ReadDone(bool ok) {
    if (ok) {
      handler_->OnMessage(std::move(request_));
      request_.Clear();
    } else if (!context_->IsCancelled()) {
      handler_->OnHalfClose();
    }
    Apply([ok](auto& core) { core.ReadDone(ok); });
  }

  void ArmTimer() REQUIRES_LOCK(mutex_) {
    timer_.Arm(core_.writes_done(), [weak = this->weak_from_this()] {
      if (const auto session = weak.lock()) session->CheckProgress();
    });
  }

  void CheckProgress() EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      timer_.Disarm();
      if (core_.closed() || !core_.writing()) return;
      if (!timer_.Stuck(core_.writes_done())) {
        ArmTimer();
        return;
      }
    }
    CutOff();
  }

  void CutOff() EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      if (core_.closed()) return;  // the context may be gone
      core_.Pin();
    }
    context_->TryCancel();
    Apply([](auto& core) {
      core.Break();
      core.Unpin();
    });
  }

  // The end of the reactor's hold on the session.
  std::shared_ptr<ServerSessionImpl> TakeSelf() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return std::move(self_);
  }

  void Over() EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      core_.Break();
      timer_.Disarm();
    }
    handler_->OnClosed();
    handler_.reset();
  }

  grpc::CallbackServerContext* const context_;  // gRPC's, until OnDone
  const std::string peer_;
  std::shared_ptr<Handler> handler_;  // used in reactions only, which never overlap
  Reactor* reactor_ = nullptr;        // set before the session is shared
  Request request_;                   // gRPC's while a read is outstanding

  Mutex mutex_;
  SessionCore<Response> core_ GUARDED_BY(mutex_);
  SlowPeerTimer timer_ GUARDED_BY(mutex_);
  std::shared_ptr<ServerSessionImpl> self_ GUARDED_BY(mutex_);  // until OnDone
  grpc::Status final_status_ GUARDED_BY(mutex_);
};

}  // namespace emotion::internal

namespace emotion {

template <class Request, class Response>
grpc::ServerBidiReactor<Request, Response>* StartServerSession(
    grpc::CallbackServerContext* context,
    std::shared_ptr<ServerSessionHandler<Request, Response>> handler, SessionLimits limits) {
  return std::make_shared<internal::ServerSessionImpl<Request, Response>>(
             context, std::move(handler), limits)
      ->Start();
}

}  // namespace emotion

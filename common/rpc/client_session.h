// The client's side of bidi_session.h on gRPC's callback API. Include bidi_session.h instead.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "common/rpc/bidi_session.h"
#include "common/rpc/session_core.h"
#include "common/rpc/slow_peer_timer.h"
#include "common/sync/mutex.h"

namespace emotion::internal {

// Why the reactor is alive whenever it is used: a hold, taken before the call starts, keeps OnDone
// away until the close, after which nothing is written; reads are started only inside reactions.
template <class Request, class Response>
class ClientSessionImpl final
    : public ClientSession<Request, Response>,
      public std::enable_shared_from_this<ClientSessionImpl<Request, Response>> {
 public:
  using Handler = ClientSessionHandler<Request, Response>;
  using StartFunction =
      std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*)>;

  ClientSessionImpl(StartFunction start, std::shared_ptr<Handler> handler,
                    const SessionLimits& limits)
      : start_(std::move(start)),
        handler_(std::move(handler)),
        core_(limits, SessionSide::kClient),
        timer_(limits.slow_peer_timeout) {}

  void Start() {
    auto* reactor = new Reactor(this);
    reactor_ = reactor;
    {
      MutexLock lock(mutex_);
      self_ = this->shared_from_this();
    }
    start_(&context_, reactor);
    reactor->AddHold();
    handler_->OnOpen(this->shared_from_this());
    Apply([](auto& core) { core.Open(); });
    reactor->StartCall();
  }

  bool Send(Request request) override {
    bool sent = false;
    bool overflowing = false;
    Apply([&](auto& core) {
      sent = core.Push(std::move(request));
      overflowing = core.overflowing();
    });
    if (overflowing) context_.TryCancel();
    return sent;
  }

  void HalfClose() override {
    Apply([](auto& core) { core.Close(); });
  }

  void Cancel() override { context_.TryCancel(); }

 private:
  class Reactor final : public grpc::ClientBidiReactor<Request, Response> {
   public:
    explicit Reactor(ClientSessionImpl* session) {
      session_.store(session, std::memory_order_release);
    }

    void OnReadDone(bool ok) override { session().ReadDone(ok); }
    void OnWriteDone(bool ok) override {
      session().Apply([ok](auto& core) { core.WriteDone(ok); });
    }
    void OnDone(const grpc::Status& status) override {
      const std::shared_ptr<ClientSessionImpl> session = this->session().TakeSelf();
      // gRPC's own goes with the reactor.
      // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
      const grpc::Status final_status = status;
      delete this;
      session->Over(final_status);
    }

   private:
    ClientSessionImpl& session() { return *session_.load(std::memory_order_acquire); }

    // gRPC orders the reactions after the start; the atomic lets the thread sanitizer, which does
    // not see into gRPC, know it.
    std::atomic<ClientSessionImpl*> session_ = nullptr;
  };

  template <class Change>
  void Apply(Change change) EXCLUDES_LOCK(mutex_) {
    SessionSteps steps;
    const Request* message = nullptr;
    bool broken = false;
    {
      MutexLock lock(mutex_);
      change(core_);
      steps = core_.Next();
      message = &core_.current();
      broken = core_.broken();
      if (steps.write && !timer_.armed()) ArmTimer();
    }
    if (steps.read) reactor_->StartRead(&response_);
    if (steps.write) reactor_->StartWrite(message);
    if (steps.close) {
      if (!broken) reactor_->StartWritesDone();
      reactor_->RemoveHold();
    }
  }

  void ReadDone(bool ok) {
    if (ok) {
      handler_->OnMessage(std::move(response_));
      response_.Clear();
    }
    Apply([ok](auto& core) {
      core.ReadDone(ok);
      if (!ok) core.Break();  // the stream is over
    });
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
    context_.TryCancel();
  }

  // The end of the reactor's hold on the session.
  std::shared_ptr<ClientSessionImpl> TakeSelf() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return std::move(self_);
  }

  void Over(const grpc::Status& status) EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      core_.Break();
      timer_.Disarm();
    }
    handler_->OnClosed(status);
    handler_.reset();
    start_ = nullptr;
  }

  grpc::ClientContext context_;  // outlives the call: Cancel is safe at any time
  StartFunction start_;
  std::shared_ptr<Handler> handler_;  // used in reactions only, which never overlap
  Reactor* reactor_ = nullptr;        // set before the session is shared
  Response response_;                 // gRPC's while a read is outstanding

  Mutex mutex_;
  SessionCore<Request> core_ GUARDED_BY(mutex_);
  SlowPeerTimer timer_ GUARDED_BY(mutex_);
  std::shared_ptr<ClientSessionImpl> self_ GUARDED_BY(mutex_);  // until OnDone
};

}  // namespace emotion::internal

namespace emotion {

template <class Request, class Response>
std::shared_ptr<ClientSession<Request, Response>> StartClientSession(
    std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*)> start,
    std::shared_ptr<ClientSessionHandler<Request, Response>> handler, SessionLimits limits) {
  auto session = std::make_shared<internal::ClientSessionImpl<Request, Response>>(
      std::move(start), std::move(handler), limits);
  session->Start();
  return session;
}

}  // namespace emotion

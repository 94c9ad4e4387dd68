// A stream between two services of one process: the sessions and handlers of bidi_session.h,
// without gRPC between them.
//
// What one side sends the other handles at once, on the sender's thread, before Send returns; so a
// cache hit goes all the way and back without waking a thread. There is nothing to queue and nobody
// is slow.
//
// Callbacks of one side may overlap, where gRPC's never do, and may come from inside a Send of the
// same side: handlers must be safe for both, as FrameStream and FramePool are. The rest is as
// there: OnOpen is first, OnClosed last and once, when no other callback of either side runs any
// more; the server's comes before the client's. What was sent before Finish arrives before the end.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "common/rpc/bidi_session.h"
#include "common/sync/mutex.h"

namespace emotion {

template <class Request, class Response>
class LocalStream final : public ClientSession<Request, Response>,
                          public ServerSession<Request, Response>,
                          public std::enable_shared_from_this<LocalStream<Request, Response>> {
 public:
  using ClientHandler = ClientSessionHandler<Request, Response>;
  using ServerHandler = ServerSessionHandler<Request, Response>;

  // Opens a stream; the handlers are released after their OnClosed.
  static void Start(std::shared_ptr<ClientHandler> client, std::shared_ptr<ServerHandler> server) {
    const auto stream = std::shared_ptr<LocalStream>(new LocalStream());
    stream->client_ = std::move(client);
    stream->server_ = std::move(server);
    stream->server_->OnOpen(stream);
    stream->client_->OnOpen(stream);
    stream->Leave();
  }

  // The client's.
  bool Send(Request request) override {
    if (!Enter(/*as_client=*/true)) return false;
    server_->OnMessage(std::move(request));
    Leave();
    return true;
  }
  void HalfClose() override {
    if (!Enter(/*as_client=*/true)) return;
    const bool first = StopRequests();
    if (first) server_->OnHalfClose();
    Leave();
  }
  void Cancel() override { End({grpc::StatusCode::CANCELLED, "the client left"}); }

  // The server's.
  bool Send(Response response) override {
    if (!Enter()) return false;
    client_->OnMessage(std::move(response));
    Leave();
    return true;
  }
  void Finish(grpc::Status status) override { End(std::move(status)); }
  const std::string& peer() const override { return peer_; }

 private:
  LocalStream() = default;

  // Callbacks run between the two. False: the stream is over.
  bool Enter(bool as_client = false) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    if (over_ || (as_client && half_closed_)) return false;
    ++inside_;
    return true;
  }
  // The last one to leave a stream that is over closes it.
  void Leave() EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      if (--inside_ > 0 || !over_) return;
    }
    const auto self = this->shared_from_this();  // the handlers may hold the last
    std::exchange(server_, nullptr)->OnClosed();
    std::exchange(client_, nullptr)->OnClosed(status_);
  }

  bool StopRequests() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return !std::exchange(half_closed_, true);
  }

  void End(grpc::Status status) EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      if (std::exchange(over_, true)) return;
      status_ = std::move(status);
      ++inside_;
    }
    Leave();
  }

  const std::string peer_ = "inproc";
  // Written before the first callback and after the last one only, as is status_.
  std::shared_ptr<ClientHandler> client_;
  std::shared_ptr<ServerHandler> server_;
  grpc::Status status_;

  Mutex mutex_;
  int inside_ GUARDED_BY(mutex_) = 1;  // Start
  bool half_closed_ GUARDED_BY(mutex_) = false;
  bool over_ GUARDED_BY(mutex_) = false;
};

}  // namespace emotion

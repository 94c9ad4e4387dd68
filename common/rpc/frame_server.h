// The server's side of a stream of frames: the rules that EmbedStream and PredictStream share.
//
// Hello comes first and is answered by Welcome and Load; LoadTeller tells later loads. Every frame
// is answered exactly once, in any order, each with its own status; a frame over the window, or
// with an id that is in flight already, is answered at once. Cancel withdraws a frame, which is
// still answered. Half-close means: answer the rest, then end with OK. A stream that broke
// withdraws what it left unanswered. Frames that name no sharer of their turn (fairness_key) share
// one per stream. After BeginDrain() each stream has been told so, and new frames are answered
// UNAVAILABLE/DRAINING; but for streams from within this process, whose callers stop before their
// servers do.
//
// FrameServer belongs to a service and makes one handler per stream; the handlers keep it and the
// backend alive no longer than Close().
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/frame_backend.h"
#include "common/rpc/frame_window.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/frame.pb.h"

namespace emotion {

// 16 bytes for each stream, met nowhere else: a random half and a counted one.
class StreamKeys {
 public:
  std::string Next() {
    const std::array<uint64_t, 2> key = {process_, ++streams_};
    std::string bytes(sizeof key, '\0');
    std::memcpy(bytes.data(), key.data(), sizeof key);
    return bytes;
  }

 private:
  const uint64_t process_ = uint64_t{std::random_device()()} << 32 | std::random_device()();
  uint64_t streams_ = 0;
};

// Hop: StreamRequest, StreamResponse, Result (see common/rpc/frame_pool.h).
template <class Hop>
class FrameStream final
    : public ServerSessionHandler<typename Hop::StreamRequest, typename Hop::StreamResponse>,
      public std::enable_shared_from_this<FrameStream<Hop>> {
 public:
  using Request = typename Hop::StreamRequest;
  using Response = typename Hop::StreamResponse;
  using Result = typename Hop::Result;
  using Session = ServerSession<Request, Response>;

  // `fairness_key`: of the frames that have none.
  FrameStream(FrameBackend<Result>& backend, size_t window_frames, std::string fairness_key)
      : backend_(backend), fairness_key_(std::move(fairness_key)), window_(window_frames) {}

  void OnOpen(std::shared_ptr<Session> session) override {
    MutexLock lock(mutex_);
    session_ = std::move(session);
  }

  void OnMessage(Request&& request) override {
    if (request.has_hello()) {
      Welcome(request.hello());
    } else if (request.has_frame()) {
      Take(std::move(*request.mutable_frame()));
    } else if (request.has_cancel()) {
      Withdraw(request.cancel().frame_id());
    }
  }

  void OnHalfClose() override {
    bool finished = false;
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      window_.HalfClose();
      finished = Finished();
      session = session_;
    }
    if (finished && session) session->Finish(grpc::Status::OK);
  }

  void OnClosed() override {
    std::vector<uint64_t> abandoned;
    {
      MutexLock lock(mutex_);
      abandoned = window_.Tickets();
      session_.reset();
    }
    for (uint64_t ticket : abandoned) backend_.Cancel(ticket);
  }

  // Frames are refused from now on; the client is told now, or after its Welcome.
  void Drain(std::chrono::milliseconds stop_sending_within) {
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      if (session_ && session_->peer() == kInProcessPeer) return;
      window_.Drain();
      drain_ = stop_sending_within;
      if (greeted_) session = session_;
    }
    if (session) SendDrain(*session, stop_sending_within);
  }

  // Sends `response` when the stream has said hello; for Load and ModelChanged.
  void Tell(Response response) {
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      if (!greeted_) return;
      session = session_;
    }
    if (session) session->Send(std::move(response));
  }

 private:
  void Welcome(const v1::Hello& hello) {
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      session = session_;
      // Before the Welcome is sent: a local client may answer it with frames at once.
      takes_frames_ = hello.protocol() == kProtocol;
    }
    if (!session) return;
    if (hello.protocol() != kProtocol) {
      session->Finish(ToGrpcStatus(FieldError("hello.protocol", "must be 1")));
      return;
    }
    Response response;
    *response.mutable_welcome() = backend_.MakeWelcome();
    session->Send(std::move(response));
    std::optional<std::chrono::milliseconds> drain;
    {
      MutexLock lock(mutex_);
      greeted_ = true;  // only now: nothing may go out before the Welcome
      drain = drain_;
    }
    response.Clear();
    *response.mutable_load() = backend_.MakeLoad();
    session->Send(std::move(response));
    if (drain) SendDrain(*session, *drain);
  }

  static void SendDrain(Session& session, std::chrono::milliseconds stop_sending_within) {
    Response response;
    response.mutable_drain()->set_stop_sending_within_ms(
        static_cast<uint32_t>(std::max<int64_t>(stop_sending_within.count(), 0)));
    session.Send(std::move(response));
  }

  void Take(v1::Frame frame) {
    const uint64_t id = frame.frame_id();
    bool taken = false;
    absl::Status admitted;
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      taken = takes_frames_;
      session = session_;
      if (taken) admitted = window_.Admit(id);
    }
    if (!session) return;
    if (!taken) {
      session->Finish(ToGrpcStatus(FieldError("hello", "must be the first message of a stream")));
    } else if (!admitted.ok()) {
      Refuse(*session, id, admitted);
    } else {
      Submit(id, std::move(frame));
    }
  }

  void Submit(uint64_t id, v1::Frame frame) {
    if (frame.fairness_key().empty()) frame.set_fairness_key(fairness_key_);
    auto self = this->shared_from_this();
    const uint64_t ticket = backend_.Submit(
        std::move(frame), [self, id](Result result) { self->Answer(id, std::move(result)); });
    bool unwanted = false;
    {
      MutexLock lock(mutex_);
      unwanted = window_.SetTicket(id, ticket) || session_ == nullptr;
    }
    if (unwanted) backend_.Cancel(ticket);
  }

  static void Refuse(Session& session, uint64_t id, const absl::Status& status) {
    Response response;
    response.mutable_result()->set_frame_id(id);
    ToProtoStatus(status, response.mutable_result()->mutable_status());
    session.Send(std::move(response));
  }

  void Answer(uint64_t id, Result result) {
    Response response;
    result.set_frame_id(id);
    *response.mutable_result() = std::move(result);
    std::shared_ptr<Session> session;
    bool finished = false;
    {
      MutexLock lock(mutex_);
      window_.Answered(id);
      ++sending_;
      session = session_;
    }
    if (session) session->Send(std::move(response));
    {
      MutexLock lock(mutex_);
      --sending_;
      finished = Finished();
    }
    if (session && finished) session->Finish(grpc::Status::OK);
  }

  // The stream ends when the last answer was sent, not when it was made: answers come from several
  // threads.
  bool Finished() const REQUIRES_LOCK(mutex_) { return window_.finished() && sending_ == 0; }

  void Withdraw(uint64_t id) {
    uint64_t ticket = 0;
    {
      MutexLock lock(mutex_);
      ticket = window_.Withdraw(id);
    }
    if (ticket != 0) backend_.Cancel(ticket);
  }

  static constexpr uint32_t kProtocol = 1;
  static constexpr const char* kInProcessPeer = "inproc";

  FrameBackend<Result>& backend_;
  const std::string fairness_key_;
  Mutex mutex_;
  FrameWindow window_ GUARDED_BY(mutex_);
  int sending_ GUARDED_BY(mutex_) = 0;            // answers between the window and the session
  bool takes_frames_ GUARDED_BY(mutex_) = false;  // the client has said hello
  bool greeted_ GUARDED_BY(mutex_) = false;       // and was welcomed
  std::optional<std::chrono::milliseconds> drain_ GUARDED_BY(mutex_);
  std::shared_ptr<Session> session_ GUARDED_BY(mutex_);  // null before OnOpen and after OnClosed
};

// All streams of one service.
template <class Hop>
class FrameServer {
 public:
  // Borrows `backend`; it must outlive the server's last stream.
  FrameServer(FrameBackend<typename Hop::Result>& backend, size_t window_frames)
      : backend_(backend), window_frames_(window_frames) {}

  std::shared_ptr<FrameStream<Hop>> NewStream() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    auto stream = std::make_shared<FrameStream<Hop>>(backend_, window_frames_, keys_.Next());
    std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
    streams_.push_back(stream);
    if (draining_) stream->Drain(std::chrono::milliseconds(0));
    return stream;
  }

  // Tells every stream to send no more; frames that come all the same are answered DRAINING.
  void BeginDrain(std::chrono::milliseconds stop_sending_within) EXCLUDES_LOCK(mutex_) {
    {
      MutexLock lock(mutex_);
      draining_ = true;
    }
    ForEach([&](FrameStream<Hop>& stream) { stream.Drain(stop_sending_within); });
  }

  // Tells every stream that has said hello.
  void TellLoad(const v1::Load& load) EXCLUDES_LOCK(mutex_) {
    typename Hop::StreamResponse response;
    *response.mutable_load() = load;
    Broadcast(response);
  }

  // Sends a copy of `response` on every stream that has said hello.
  void Broadcast(const typename Hop::StreamResponse& response) EXCLUDES_LOCK(mutex_) {
    ForEach([&](FrameStream<Hop>& stream) { stream.Tell(response); });
  }

 private:
  template <class Function>
  void ForEach(const Function& function) EXCLUDES_LOCK(mutex_) {
    std::vector<std::shared_ptr<FrameStream<Hop>>> streams;
    {
      MutexLock lock(mutex_);
      for (const auto& weak : streams_) {
        if (auto stream = weak.lock()) streams.push_back(std::move(stream));
      }
    }
    for (const auto& stream : streams) function(*stream);
  }

  FrameBackend<typename Hop::Result>& backend_;
  const size_t window_frames_;
  Mutex mutex_;
  bool draining_ GUARDED_BY(mutex_) = false;
  StreamKeys keys_ GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<FrameStream<Hop>>> streams_ GUARDED_BY(mutex_);
};

}  // namespace emotion

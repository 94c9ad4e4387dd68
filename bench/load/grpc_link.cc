#include "bench/load/grpc_link.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "common/error/error.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/classifier.grpc.pb.h"

namespace emotion::bench {
namespace {

namespace asio = boost::asio;
using Session = ClientSession<v1::PredictStreamRequest, v1::PredictStreamResponse>;
using Handler = ClientSessionHandler<v1::PredictStreamRequest, v1::PredictStreamResponse>;

int64_t UnixMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// 16 bytes, as the first door makes them.
std::string Key(char purpose, uint64_t number) { return fmt::format("{}{:015}", purpose, number); }

Answer AnswerOf(const v1::PredictResult& result) {
  const absl::Status status = FromProtoStatus(result.status());
  if (!status.ok()) return AnswerOfReason(ReasonName(ReasonOf(status)));
  return {.verdict = Verdict::kPrediction,
          .next_frame_after = std::chrono::milliseconds(result.next_frame_after_ms()),
          .cached = result.cache() == v1::CACHE_OUTCOME_EXACT  ? Cached::kExact
                    : result.cache() == v1::CACHE_OUTCOME_NEAR ? Cached::kNear
                                                               : Cached::kNo};
}

// One stream. Messages come on gRPC's threads and are taken over in bundles by the io_context's.
class Stream final : public Handler, public std::enable_shared_from_this<Stream> {
 public:
  using OnAnswer = std::function<void(const Answer&)>;

  Stream(asio::io_context& io, const LoadOptions& options)
      : io_(io),
        stub_(v1::ClassifierService::NewStub(
            MakeChannel(fmt::format("{}:{}", options.host, options.port)))) {}

  void Start() {
    session_ = StartClientSession<v1::PredictStreamRequest, v1::PredictStreamResponse>(
        [stub = stub_](auto* context, auto* reactor) {
          stub->async()->PredictStream(context, reactor);
        },
        shared_from_this());
  }

  // Returns when gRPC's threads are done with this.
  void Stop() EXCLUDES_LOCK(mutex_) {
    session_->Cancel();
    const MutexLock lock(mutex_);
    while (!closed_) closed_changed_.Wait(mutex_);
  }

  // `on_answer` runs on the io_context's thread. Returns the frame's id on this stream.
  uint64_t Send(v1::Frame frame, OnAnswer on_answer) {
    const uint64_t id = ++last_id_;
    frame.set_frame_id(id);
    v1::PredictStreamRequest request;
    *request.mutable_frame() = std::move(frame);
    if (session_->Send(std::move(request))) {
      waiting_[id] = std::move(on_answer);
    } else {
      asio::post(io_,
                 [on_answer = std::move(on_answer)] { on_answer(AnswerOfReason("CONNECTION")); });
    }
    return id;
  }

  void Withdraw(uint64_t id) {
    if (waiting_.erase(id) == 0) return;
    v1::PredictStreamRequest request;
    request.mutable_cancel()->set_frame_id(id);
    session_->Send(std::move(request));
  }

  void OnOpen(std::shared_ptr<Session> session) override {
    v1::PredictStreamRequest request;
    request.mutable_hello()->set_protocol(1);
    request.mutable_hello()->set_client("emotion-bench-load");
    session->Send(std::move(request));
  }

  void OnMessage(v1::PredictStreamResponse&& response) override {
    if (response.has_result()) Hand(std::move(*response.mutable_result()));
  }

  void OnClosed(const grpc::Status&) override {
    asio::post(io_, [self = shared_from_this()] {
      const auto waiting = std::exchange(self->waiting_, {});
      for (const auto& [id, on_answer] : waiting) on_answer(AnswerOfReason("CONNECTION"));
    });
    const MutexLock lock(mutex_);
    closed_ = true;
    closed_changed_.NotifyAll();
  }

 private:
  void Hand(v1::PredictResult result) EXCLUDES_LOCK(mutex_) {
    {
      const MutexLock lock(mutex_);
      inbox_.push_back(std::move(result));
      if (inbox_.size() > 1) return;  // somebody is on the way already
    }
    asio::post(io_, [self = shared_from_this()] { self->TakeInbox(); });
  }

  void TakeInbox() EXCLUDES_LOCK(mutex_) {
    std::vector<v1::PredictResult> results;
    {
      const MutexLock lock(mutex_);
      results.swap(inbox_);
    }
    for (const v1::PredictResult& result : results) {
      const auto found = waiting_.find(result.frame_id());
      if (found == waiting_.end()) continue;  // withdrawn
      const OnAnswer on_answer = std::move(found->second);
      waiting_.erase(found);
      on_answer(AnswerOf(result));
    }
  }

  asio::io_context& io_;
  const std::shared_ptr<v1::ClassifierService::Stub> stub_;
  std::shared_ptr<Session> session_;
  // Of the io_context's thread:
  uint64_t last_id_ = 0;
  std::unordered_map<uint64_t, OnAnswer> waiting_;

  Mutex mutex_;
  CondVar closed_changed_;
  bool closed_ GUARDED_BY(mutex_) = false;
  std::vector<v1::PredictResult> inbox_ GUARDED_BY(mutex_);
};

// The streams end with the last link that uses them.
class Streams {
 public:
  Streams(asio::io_context& io, const LoadOptions& options) {
    for (size_t i = 0; i < options.streams; ++i) {
      streams_.push_back(std::make_shared<Stream>(io, options));
      streams_.back()->Start();
    }
  }
  ~Streams() {
    for (const auto& stream : streams_) stream->Stop();
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // Frames of a session stay on one stream.
  Stream& Of(size_t session) { return *streams_[session % streams_.size()]; }

 private:
  std::vector<std::shared_ptr<Stream>> streams_;
};

class GrpcLink final : public Link, public std::enable_shared_from_this<GrpcLink> {
 public:
  GrpcLink(asio::io_context& io, const LoadOptions& options, std::shared_ptr<Streams> streams,
           const LinkIdentity& identity, LinkEvents& events)
      : io_(io),
        live_(options.live),
        streams_(std::move(streams)),
        identity_(identity),
        events_(&events) {}

  void Open() override {
    asio::post(io_, [self = shared_from_this()] {
      if (self->events_ != nullptr) self->events_->OnReady();
    });
  }

  void Send(OutgoingFrame frame) override {
    v1::Frame message;
    message.set_encoded_image(std::move(frame.image));
    message.set_session_key(Key('s', identity_.session));
    message.set_cache_scope(Key('c', identity_.session));
    message.set_fairness_key(Key('f', identity_.subject));
    message.set_timeout_ms(static_cast<uint32_t>(frame.timeout.count()));
    message.set_priority(v1::PRIORITY_INTERACTIVE);
    message.set_detect(v1::DETECT_OFF);
    const int64_t now = UnixMicroseconds();
    message.set_accepted_at_us(static_cast<uint64_t>(now));
    sequence_ = std::max(sequence_ + 1, static_cast<uint64_t>(now));
    if (live_) message.set_sequence(sequence_);
    const uint64_t id = frame.id;
    unanswered_[id] =
        streams_->Of(identity_.session)
            .Send(std::move(message), [self = shared_from_this(), id](const Answer& answer) {
              self->Answered(id, answer);
            });
  }

  void Withdraw(uint64_t id) override {
    const auto found = unanswered_.find(id);
    if (found == unanswered_.end()) return;
    streams_->Of(identity_.session).Withdraw(found->second);
    unanswered_.erase(found);
  }

  void Close() override {
    events_ = nullptr;
    for (const auto& [id, on_stream] : unanswered_) {
      streams_->Of(identity_.session).Withdraw(on_stream);
    }
    unanswered_.clear();
  }

 private:
  void Answered(uint64_t id, const Answer& answer) {
    unanswered_.erase(id);
    if (events_ != nullptr) events_->OnAnswer(id, answer);
  }

  asio::io_context& io_;
  const bool live_;
  const std::shared_ptr<Streams> streams_;
  const LinkIdentity identity_;
  LinkEvents* events_;  // null once closed
  uint64_t sequence_ = 0;
  std::unordered_map<uint64_t, uint64_t> unanswered_;  // ids of the link: of the stream
};

}  // namespace

LinkFactory GrpcLinks(asio::io_context& io, const LoadOptions& options) {
  auto streams = std::make_shared<Streams>(io, options);
  return [&io, &options, streams](const LinkIdentity& identity, LinkEvents& events) {
    return std::make_shared<GrpcLink>(io, options, streams, identity, events);
  };
}

}  // namespace emotion::bench

// A ClassifierService for tests of the gateway, over real gRPC: the answer depends on the image's
// bytes, so that mixed-up answers are caught; images ask for faults by how they begin.
#pragma once

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "common/rpc/server_host.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/classifier.grpc.pb.h"

namespace emotion::testing {

// The level that the fake gives an image, 0 to 3.
inline uint32_t LevelOfBytes(std::string_view bytes) {
  uint32_t hash = 2166136261U;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 16777619U;
  return hash >> 30;
}

class FakeClassifierService final : public v1::ClassifierService::CallbackService,
                                    public FrameBackend<v1::PredictResult> {
 public:
  FakeClassifierService() : streams_(*this, kWindow) {}

  // "bad...": IMAGE_CORRUPT; "full...": QUEUE_FULL, again in 2.5 s; "broken...": INTERNAL that
  // tells secrets; "old...": SUPERSEDED; "held...": answered by Cancel or ReleaseHeld only; else a
  // prediction.
  uint64_t Submit(v1::Frame frame, Done done) override {
    const uint64_t ticket = ++last_ticket_;
    v1::PredictResult result;
    const std::string& image = frame.encoded_image();
    {
      MutexLock lock(mutex_);
      frames_.push_back(frame);
      if (image.starts_with("held")) {
        held_[ticket] = {image, std::move(done)};
        changed_.NotifyAll();
        return ticket;
      }
    }
    if (image.starts_with("bad")) {
      ToProtoStatus(Error(Reason::kImageCorrupt, "the test's bad image"), result.mutable_status());
    } else if (image.starts_with("full")) {
      ToProtoStatus(WithRetry(Error(Reason::kQueueFull, "full"), std::chrono::milliseconds(2500)),
                    result.mutable_status());
    } else if (image.starts_with("old")) {
      ToProtoStatus(Error(Reason::kSuperseded, "a newer frame came"), result.mutable_status());
    } else if (image.starts_with("broken")) {
      ToProtoStatus(Error(Reason::kInternal, "secret at 10.1.2.3"), result.mutable_status());
    } else {
      Fill(image, result);
    }
    done(std::move(result));
    return ticket;
  }

  void Cancel(uint64_t ticket) override {
    Held held;
    {
      MutexLock lock(mutex_);
      const auto found = held_.find(ticket);
      if (found == held_.end()) return;
      held = std::move(found->second);
      held_.erase(found);
    }
    ++cancelled_;
    v1::PredictResult result;
    ToProtoStatus(Error(Reason::kCancelled, "withdrawn"), result.mutable_status());
    held.done(std::move(result));
  }

  void ReleaseHeld() {
    std::map<uint64_t, Held> held;
    {
      MutexLock lock(mutex_);
      held.swap(held_);
    }
    for (auto& [ticket, one] : held) {
      v1::PredictResult result;
      Fill(one.image, result);
      one.done(std::move(result));
    }
  }

  void WaitForHeld(size_t count) {
    MutexLock lock(mutex_);
    while (held_.size() < count) changed_.Wait(mutex_);
  }

  v1::Welcome MakeWelcome() override {
    v1::Welcome welcome;
    welcome.set_protocol(1);
    welcome.set_window_frames(kWindow);
    welcome.set_replica_id("fake");
    welcome.set_model("fake-model");
    return welcome;
  }
  v1::Load MakeLoad() override { return {}; }

  grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>* PredictStream(
      grpc::CallbackServerContext* context) override {
    ++opened_streams_;
    return StartServerSession<v1::PredictStreamRequest, v1::PredictStreamResponse>(
        context, streams_.NewStream());
  }

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest*,
                                     v1::GetModelResponse* response) override {
    response->set_model("fake-model");
    response->set_demo(true);
    return Finish(context);
  }

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest*,
                                      v1::GetStatusResponse* response) override {
    response->set_replicas_ready(embedding_ready_);
    response->set_replicas_total(2);
    response->set_shared_cache(v1::SHARED_CACHE_OFF);
    return Finish(context);
  }

  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* context,
                                          const v1::DeleteSessionRequest* request,
                                          v1::DeleteSessionResponse*) override {
    MutexLock lock(mutex_);
    deleted_.push_back(*request);
    return Finish(context);
  }

  // What the unary calls answer from now on.
  void FailUnary(absl::Status status) {
    MutexLock lock(failure_mutex_);
    failure_ = std::move(status);
  }
  void SetEmbeddingReady(uint32_t replicas) { embedding_ready_ = replicas; }

  // From now on another model answers, and every stream is told.
  void ChangeModel(const std::string& model) {
    v1::PredictStreamResponse news;
    news.mutable_model_changed()->set_model(model);
    streams_.Broadcast(news);
  }

  size_t held() {
    MutexLock lock(mutex_);
    return held_.size();
  }
  int cancelled() const { return cancelled_; }
  int opened_streams() const { return opened_streams_; }
  std::vector<v1::Frame> frames() {
    MutexLock lock(mutex_);
    return frames_;
  }
  void ForgetFrames() {
    MutexLock lock(mutex_);
    frames_.clear();
  }
  std::vector<v1::DeleteSessionRequest> deleted() {
    MutexLock lock(mutex_);
    return deleted_;
  }

 private:
  static constexpr size_t kWindow = 2048;

  struct Held {
    std::string image;
    Done done;
  };

  grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context) {
    auto* reactor = context->DefaultReactor();
    MutexLock lock(failure_mutex_);
    reactor->Finish(ToGrpcStatus(failure_));
    return reactor;
  }

  static void Fill(const std::string& image, v1::PredictResult& result) {
    const uint32_t level = LevelOfBytes(image);
    for (int state = 1; state <= 4; ++state) {
      v1::StatePrediction* prediction = result.add_predictions();
      prediction->set_state(static_cast<v1::AffectiveState>(state));
      prediction->set_level(level);
      prediction->set_confidence(1.0F);
      for (uint32_t k = 0; k < 4; ++k) prediction->add_probabilities(k == level ? 1.0F : 0.0F);
      prediction->set_expected_level(static_cast<float>(level));
    }
    result.set_cache(v1::CACHE_OUTCOME_EXACT);
    result.set_quality_usable(true);
    result.set_next_frame_after_ms(2000);
    result.set_model("fake-model");
    result.set_demo(true);
    result.mutable_times()->set_encode_us(1500);
  }

  FrameServer<PredictHop> streams_;
  std::atomic<uint64_t> last_ticket_ = 0;
  std::atomic<int> cancelled_ = 0;
  std::atomic<int> opened_streams_ = 0;
  std::atomic<uint32_t> embedding_ready_ = 2;
  Mutex failure_mutex_;
  absl::Status failure_ GUARDED_BY(failure_mutex_);
  Mutex mutex_;
  CondVar changed_;
  std::map<uint64_t, Held> held_ GUARDED_BY(mutex_);
  std::vector<v1::Frame> frames_ GUARDED_BY(mutex_);
  std::vector<v1::DeleteSessionRequest> deleted_ GUARDED_BY(mutex_);
};

// A FakeClassifierService that listens.
class FakeClassifierServer {
 public:
  FakeClassifierServer() {
    auto host = ServerHost::Start({.listen = "127.0.0.1:0",
                                   .services = {&service_},
                                   .names = {"emotion.v1.ClassifierService"}});
    if (!host.ok()) std::abort();
    host_ = *std::move(host);
    host_->SetServing(true);
  }
  ~FakeClassifierServer() { Stop(); }

  std::string target() const { return "127.0.0.1:" + std::to_string(host_->port()); }
  std::shared_ptr<grpc::Channel> InProcessChannel() { return host_->InProcessChannel(); }
  FakeClassifierService& service() { return service_; }
  void Stop() { host_->Shutdown(std::chrono::steady_clock::now()); }

 private:
  FakeClassifierService service_;
  std::unique_ptr<ServerHost> host_;
};

}  // namespace emotion::testing

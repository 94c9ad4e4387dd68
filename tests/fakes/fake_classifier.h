// A ClassifierService for tests of the gateway, over real gRPC: the answer depends on the image's
// bytes, so that mixed-up answers are caught; images ask for faults by how they begin.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/classifier.grpc.pb.h"
#include "tests/fakes/bytes_hash.h"
#include "tests/fakes/fake_server.h"
#include "tests/fakes/held_frames.h"

namespace emotion::testing {

// The level that the fake gives an image, 0 to 3.
inline uint32_t LevelOfBytes(std::string_view bytes) { return HashOfBytes(bytes) >> 30; }

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
    }
    if (image.starts_with("held")) {
      held_.Hold(ticket, image, std::move(done));
      return ticket;
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

  void Cancel(uint64_t ticket) override { held_.Cancel(ticket); }
  void ReleaseHeld() { held_.Release(Fill); }
  void WaitForHeld(size_t count) { held_.WaitFor(count); }

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

  size_t held() { return held_.size(); }
  int cancelled() const { return held_.cancelled(); }
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
  HeldFrames<v1::PredictResult> held_;
  std::atomic<uint64_t> last_ticket_ = 0;
  std::atomic<int> opened_streams_ = 0;
  std::atomic<uint32_t> embedding_ready_ = 2;
  Mutex failure_mutex_;
  absl::Status failure_ GUARDED_BY(failure_mutex_);
  Mutex mutex_;
  std::vector<v1::Frame> frames_ GUARDED_BY(mutex_);
  std::vector<v1::DeleteSessionRequest> deleted_ GUARDED_BY(mutex_);
};

// A FakeClassifierService that listens.
using FakeClassifierServer = FakeServer<FakeClassifierService, v1::ClassifierService>;

}  // namespace emotion::testing

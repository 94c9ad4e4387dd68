// An EmbeddingService for tests of its callers, over real gRPC: the vector depends on the image's
// bytes, so that mixed-up answers are caught; images can ask for faults by how they begin.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/numeric/half.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "common/rpc/server_host.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/embedding.grpc.pb.h"

namespace emotion::testing {

// `dim` values out of the bytes; equal bytes give equal values.
inline std::vector<float> VectorOfBytes(const std::string& bytes, int dim) {
  std::vector<float> values(static_cast<size_t>(dim));
  uint32_t hash = 2166136261U;
  for (char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 16777619U;
  for (float& value : values) {
    hash = hash * 1664525U + 1013904223U;
    value = static_cast<float>(hash >> 24) / 64.0F - 2.0F;
  }
  return values;
}

class FakeEmbeddingService final : public v1::EmbeddingService::CallbackService,
                                   public FrameBackend<v1::EmbedResult> {
 public:
  FakeEmbeddingService(int dim, std::string fingerprint)
      : dim_(dim), fingerprint_(std::move(fingerprint)), streams_(*this, kWindow) {}

  // "bad...": IMAGE_CORRUPT; "held...": answered only by Cancel or Release; "wrong-model...": an
  // embedding of another fingerprint; else a vector.
  uint64_t Submit(v1::Frame frame, Done done) override {
    ++submitted_;
    v1::EmbedResult result;
    result.set_frame_id(frame.frame_id());
    {
      MutexLock lock(mutex_);
      last_frame_ = frame;
    }
    const std::string& image = frame.encoded_image();
    if (image.starts_with("held")) {
      const uint64_t ticket = ++next_ticket_;
      MutexLock lock(mutex_);
      held_[ticket] = {std::move(result), std::move(done), image};
      held_changed_.NotifyAll();
      return ticket;
    }
    if (image.starts_with("bad")) {
      ToProtoStatus(Error(Reason::kImageCorrupt, "the test's bad image"), result.mutable_status());
    } else {
      Fill(image, result);
    }
    done(std::move(result));
    return ++next_ticket_;
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
    ToProtoStatus(Error(Reason::kCancelled, "withdrawn"), held.result.mutable_status());
    held.done(std::move(held.result));
  }

  void ReleaseHeld() {
    std::map<uint64_t, Held> held;
    {
      MutexLock lock(mutex_);
      held.swap(held_);
    }
    for (auto& [ticket, one] : held) {
      Fill(one.image, one.result);
      one.done(std::move(one.result));
    }
  }

  void WaitForHeld(size_t count) {
    MutexLock lock(mutex_);
    while (held_.size() < count) held_changed_.Wait(mutex_);
  }

  v1::Welcome MakeWelcome() override {
    v1::Welcome welcome;
    welcome.set_protocol(1);
    welcome.set_model_fingerprint(fingerprint_);
    welcome.set_dim(static_cast<uint32_t>(dim_));
    welcome.set_window_frames(kWindow);
    welcome.set_replica_id("fake");
    return welcome;
  }
  v1::Load MakeLoad() override { return {}; }

  grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* EmbedStream(
      grpc::CallbackServerContext* context) override {
    return StartServerSession<v1::EmbedStreamRequest, v1::EmbedStreamResponse>(
        context, streams_.NewStream());
  }

  grpc::ServerUnaryReactor* GetEmbeddingModel(grpc::CallbackServerContext* context,
                                              const v1::GetEmbeddingModelRequest*,
                                              v1::GetEmbeddingModelResponse* response) override {
    response->set_name("fake");
    response->set_fingerprint(fingerprint_);
    response->set_dim(static_cast<uint32_t>(dim_));
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* DeleteEmbeddingSession(grpc::CallbackServerContext* context,
                                                   const v1::DeleteEmbeddingSessionRequest* request,
                                                   v1::DeleteEmbeddingSessionResponse*) override {
    {
      MutexLock lock(mutex_);
      deleted_.push_back(*request);
    }
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  int submitted() const { return submitted_; }
  int cancelled() const { return cancelled_; }
  v1::Frame last_frame() {
    MutexLock lock(mutex_);
    return last_frame_;
  }
  std::vector<v1::DeleteEmbeddingSessionRequest> deleted() {
    MutexLock lock(mutex_);
    return deleted_;
  }

 private:
  static constexpr size_t kWindow = 64;

  struct Held {
    v1::EmbedResult result;
    Done done;
    std::string image;
  };

  void Fill(const std::string& image, v1::EmbedResult& result) const {
    v1::Embedding& embedding = *result.mutable_embedding();
    embedding.set_data(EncodeHalf(VectorOfBytes(image, dim_)));
    embedding.set_dtype(v1::D_TYPE_F16);
    embedding.set_dim(static_cast<uint32_t>(dim_));
    embedding.set_model_fingerprint(image.starts_with("wrong-model") ? std::string(32, 'w')
                                                                     : fingerprint_);
    result.set_cache(v1::CACHE_OUTCOME_MISS);
    result.add_quality_warnings(v1::QUALITY_WARNING_NOT_SQUARE);
    result.set_next_frame_after_ms(2000);
  }

  const int dim_;
  const std::string fingerprint_;
  FrameServer<EmbedHop> streams_;
  std::atomic<int> submitted_ = 0;
  std::atomic<int> cancelled_ = 0;
  std::atomic<uint64_t> next_ticket_ = 0;
  Mutex mutex_;
  CondVar held_changed_;
  v1::Frame last_frame_ GUARDED_BY(mutex_);
  std::map<uint64_t, Held> held_ GUARDED_BY(mutex_);
  std::vector<v1::DeleteEmbeddingSessionRequest> deleted_ GUARDED_BY(mutex_);
};

// A FakeEmbeddingService that listens.
class FakeEmbeddingServer {
 public:
  FakeEmbeddingServer(int dim, const std::string& fingerprint) : service_(dim, fingerprint) {
    auto host = ServerHost::Start({.listen = "127.0.0.1:0",
                                   .services = {&service_},
                                   .names = {"emotion.v1.EmbeddingService"}});
    if (!host.ok()) std::abort();
    host_ = *std::move(host);
    host_->SetServing(true);
  }
  ~FakeEmbeddingServer() { Stop(); }

  std::string target() const { return "127.0.0.1:" + std::to_string(host_->port()); }
  FakeEmbeddingService& service() { return service_; }
  void Stop() { host_->Shutdown(std::chrono::steady_clock::now()); }

 private:
  FakeEmbeddingService service_;
  std::unique_ptr<ServerHost> host_;
};

}  // namespace emotion::testing

// An EmbeddingService for tests of its callers, over real gRPC: the vector depends on the image's
// bytes, so that mixed-up answers are caught; images can ask for faults by how they begin.
#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "common/numeric/half.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "emotion/v1/embedding.grpc.pb.h"
#include "tests/fakes/bytes_hash.h"
#include "tests/fakes/fake_server.h"
#include "tests/fakes/held_frames.h"

namespace emotion::testing {

// `dim` values out of the bytes; equal bytes give equal values.
inline std::vector<float> VectorOfBytes(const std::string& bytes, int dim) {
  std::vector<float> values(static_cast<size_t>(dim));
  uint32_t hash = HashOfBytes(bytes);
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
  // embedding of another fingerprint; else a vector. What has "cached" in it comes as an exact hit.
  uint64_t Submit(v1::Frame frame, Done done) override {
    const uint64_t ticket = ++last_ticket_;
    v1::EmbedResult result;
    {
      MutexLock lock(mutex_);
      last_frame_ = frame;
    }
    const std::string& image = frame.encoded_image();
    if (image.starts_with("held")) {
      held_.Hold(ticket, image, std::move(done));
      return ticket;
    }
    if (image.starts_with("bad")) {
      ToProtoStatus(Error(Reason::kImageCorrupt, "the test's bad image"), result.mutable_status());
    } else {
      Fill(image, result);
    }
    done(std::move(result));
    return ticket;
  }

  void Cancel(uint64_t ticket) override { held_.Cancel(ticket); }
  void ReleaseHeld() {
    held_.Release(
        [this](const std::string& image, v1::EmbedResult& result) { Fill(image, result); });
  }
  void WaitForHeld(size_t count) { held_.WaitFor(count); }

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

  int submitted() const { return static_cast<int>(last_ticket_); }
  int cancelled() const { return held_.cancelled(); }
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

  void Fill(const std::string& image, v1::EmbedResult& result) const {
    v1::Embedding& embedding = *result.mutable_embedding();
    embedding.set_data(EncodeHalf(VectorOfBytes(image, dim_)));
    embedding.set_dtype(v1::D_TYPE_F16);
    embedding.set_dim(static_cast<uint32_t>(dim_));
    embedding.set_model_fingerprint(image.starts_with("wrong-model") ? std::string(32, 'w')
                                                                     : fingerprint_);
    const bool cached = image.find("cached") != std::string::npos;
    result.set_cache(cached ? v1::CACHE_OUTCOME_EXACT : v1::CACHE_OUTCOME_MISS);
    result.add_quality_warnings(v1::QUALITY_WARNING_NOT_SQUARE);
    result.set_next_frame_after_ms(2000);
  }

  const int dim_;
  const std::string fingerprint_;
  FrameServer<EmbedHop> streams_;
  HeldFrames<v1::EmbedResult> held_;
  std::atomic<uint64_t> last_ticket_ = 0;
  Mutex mutex_;
  v1::Frame last_frame_ GUARDED_BY(mutex_);
  std::vector<v1::DeleteEmbeddingSessionRequest> deleted_ GUARDED_BY(mutex_);
};

// A FakeEmbeddingService that listens.
using FakeEmbeddingServer = FakeServer<FakeEmbeddingService, v1::EmbeddingService>;

}  // namespace emotion::testing

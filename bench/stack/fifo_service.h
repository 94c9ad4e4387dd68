// An embedding service as it is written first: a queue, and one thread that takes from its front.
//
// The rival of the benchmarks. It decodes on a pool of threads and encodes up to `batch` frames at
// a time, in the order in which they came; it refuses nothing, knows no deadlines, no turns and no
// newer frames, and a caller that left is served all the same. Its queue grows without bound.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "bench/stack/timed_encoder.h"
#include "common/rpc/frame_backend.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "common/sync/mutex.h"
#include "common/sync/worker_pool.h"
#include "emotion/v1/embedding.grpc.pb.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::bench {

class FifoService final : public v1::EmbeddingService::CallbackService,
                          public FrameBackend<v1::EmbedResult> {
 public:
  FifoService(const EncodeTime& time, size_t batch);
  ~FifoService() override;  // after the server that it is registered with; what waits is dropped

  grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* EmbedStream(
      grpc::CallbackServerContext* context) override;

  uint64_t Submit(v1::Frame frame, Done done) override;
  void Cancel(uint64_t) override {}
  v1::Welcome MakeWelcome() override;
  v1::Load MakeLoad() override { return {}; }

 private:
  struct Waiting {
    vision::Patches patches;
    Done done;
  };

  void Decode(const v1::Frame& frame, const Done& done) EXCLUDES_LOCK(mutex_);
  void EncodeAll(const std::stop_token& stop) EXCLUDES_LOCK(mutex_);
  std::deque<Waiting> NextBatch(const std::stop_token& stop) EXCLUDES_LOCK(mutex_);
  void EncodeOnce(std::deque<Waiting> batch);

  const size_t batch_;
  TimedEncoder encoder_;
  const vision::ImagePreparer preparer_;
  FrameServer<EmbedHop> streams_;
  std::atomic<uint64_t> last_ticket_ = 0;

  Mutex mutex_;
  CondVar changed_;
  std::deque<Waiting> queue_ GUARDED_BY(mutex_);

  // Last: they use all of the above.
  std::unique_ptr<WorkerPool> decoders_;
  std::jthread encoding_;
};

}  // namespace emotion::bench

// Between the protocol and the pipeline: checks what comes from the wire, turns answers into
// protocol messages, and says what this server is (Welcome, Load, model card).
//
// Made before the model is there: until Open() frames are answered UNAVAILABLE (LOADING). Safe from
// any thread; blocks nobody.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/observe/metrics.h"
#include "common/rpc/frame_backend.h"
#include "common/sync/mutex.h"
#include "embedding_service/frame_check.h"
#include "embedding_service/frame_pipeline.h"
#include "emotion/v1/embedding.pb.h"

namespace emotion::embedding {

class EmbedBackend final : public FrameBackend<v1::EmbedResult> {
 public:
  struct Options {
    FrameLimits limits;
    uint32_t window_frames = 256;  // of one stream
    std::string replica_id;
    std::string server_version;
    std::function<v1::SharedCache()> shared_cache;  // as it is now; unset: off
  };

  // Borrows `metrics`.
  EmbedBackend(Options options, Metrics& metrics);

  // From now on frames go to `pipeline`. Call once. `batch_size` is for the model card.
  void Open(std::shared_ptr<FramePipeline> pipeline, uint32_t batch_size);
  bool open() const { return pipeline() != nullptr; }

  // FrameBackend: results' errors are LOADING, those of CheckFrame and those of the pipeline.
  uint64_t Submit(v1::Frame frame, Done done) override;
  void Cancel(uint64_t ticket) override;
  v1::Welcome MakeWelcome() override;  // REQUIRES: open()
  v1::Load MakeLoad() override;        // zeros until open()

  v1::GetEmbeddingModelResponse MakeModelCard() const;  // REQUIRES: open()

 private:
  std::shared_ptr<FramePipeline> pipeline() const;

  const Options options_;
  Metrics& metrics_;

  mutable Mutex mutex_;
  std::shared_ptr<FramePipeline> pipeline_ GUARDED_BY(mutex_);  // shared with the server
  uint32_t batch_size_ GUARDED_BY(mutex_) = 0;
};

}  // namespace emotion::embedding

#include "embedding_service/embed_backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/error/error.h"
#include "embedding_service/embed_result.h"
#include "vision/preprocess/version.h"

namespace emotion::embedding {
namespace {

// Never a ticket of the pipeline's: those count from 1.
constexpr uint64_t kAnswered = UINT64_MAX;

int64_t UnixMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

uint32_t ToUint32(std::chrono::milliseconds time) {
  return static_cast<uint32_t>(std::clamp<int64_t>(time.count(), 0, UINT32_MAX));
}

}  // namespace

EmbedBackend::EmbedBackend(Options options, Metrics& metrics)
    : options_(std::move(options)), metrics_(metrics) {}

void EmbedBackend::Open(std::shared_ptr<FramePipeline> pipeline, uint32_t batch_size) {
  const MutexLock lock(mutex_);
  pipeline_ = std::move(pipeline);
  batch_size_ = batch_size;
}

std::shared_ptr<FramePipeline> EmbedBackend::pipeline() const {
  const MutexLock lock(mutex_);
  return pipeline_;
}

uint64_t EmbedBackend::Submit(v1::Frame frame, Done done) {
  const std::shared_ptr<FramePipeline> pipeline = this->pipeline();
  absl::StatusOr<FrameRequest> request =
      Error(Reason::kLoading, "the model is being loaded; try again soon");
  if (pipeline) {
    request = CheckFrame(frame, options_.limits, pipeline->preparer(), UnixMicroseconds());
  }
  if (!request.ok()) {
    metrics_.Refused(ReasonOf(request.status()));
    done(FailedResult(request.status()));
    return kAnswered;
  }
  // The pipeline outlives the frames in it, so `encoder` stays.
  const vision::EncoderInfo& encoder = pipeline->info();
  return pipeline->Submit(*std::move(request),
                          [&encoder, done = std::move(done)](const FrameResult& result) {
                            done(ToEmbedResult(result, encoder));
                          });
}

void EmbedBackend::Cancel(uint64_t ticket) {
  if (const auto pipeline = this->pipeline()) pipeline->Cancel(ticket);
}

v1::Welcome EmbedBackend::MakeWelcome() {
  const std::shared_ptr<FramePipeline> pipeline = this->pipeline();
  const vision::EncoderInfo& encoder = pipeline->info();
  v1::Welcome welcome;
  welcome.set_protocol(1);
  welcome.set_model_fingerprint(encoder.fingerprint.data(), encoder.fingerprint.size());
  welcome.set_dim(static_cast<uint32_t>(encoder.dim));
  welcome.set_window_frames(options_.window_frames);
  welcome.set_replica_id(options_.replica_id);
  welcome.set_max_image_bytes(static_cast<uint32_t>(options_.limits.max_image_bytes));
  return welcome;
}

v1::Load EmbedBackend::MakeLoad() {
  v1::Load load;
  load.set_window_frames(options_.window_frames);
  load.set_shared_cache(options_.shared_cache ? options_.shared_cache() : v1::SHARED_CACHE_OFF);
  if (const auto pipeline = this->pipeline()) {
    const QueueLoad now = pipeline->Load();
    load.set_queue_frames(static_cast<uint32_t>(now.frames));
    load.set_queue_wait_ms(ToUint32(now.wait));
    load.set_next_frame_after_ms(ToUint32(now.next_frame_after));
  }
  return load;
}

v1::GetEmbeddingModelResponse EmbedBackend::MakeModelCard() const {
  const MutexLock lock(mutex_);
  const vision::EncoderInfo& encoder = pipeline_->info();
  v1::GetEmbeddingModelResponse card;
  card.set_name(encoder.name);
  card.set_fingerprint(encoder.fingerprint.data(), encoder.fingerprint.size());
  card.set_dim(static_cast<uint32_t>(encoder.dim));
  card.set_precision(ToProto(encoder.precision));
  card.set_pooling(v1::POOLING_MEAN_TOKENS);
  card.set_preprocessing_version(vision::kPreprocessingVersion);
  card.set_device(encoder.device);
  card.set_demo(encoder.demo);
  card.set_licence(encoder.licence);
  card.set_near_rule(std::string(kNearRule));
  card.set_batch_size(batch_size_);
  card.set_server_version(options_.server_version);
  return card;
}

}  // namespace emotion::embedding

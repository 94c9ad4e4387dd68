#include "bench/stack/fifo_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/numeric/half.h"
#include "common/rpc/status.h"

namespace emotion::bench {
namespace {

constexpr size_t kNoLimit = size_t{1} << 30;
constexpr size_t kDecodeThreads = 2;

}  // namespace

FifoService::FifoService(const EncodeTime& time, size_t batch)
    : batch_(batch),
      encoder_(time),
      preparer_(vision::ImagePreparer::Settings{}),
      streams_(*this, kNoLimit),
      decoders_(std::make_unique<WorkerPool>(kDecodeThreads, kNoLimit)),
      encoding_([this](const std::stop_token& stop) { EncodeAll(stop); }) {}

FifoService::~FifoService() {
  decoders_.reset();
  encoding_.request_stop();
  {
    const MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  encoding_.join();
}

grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* FifoService::EmbedStream(
    grpc::CallbackServerContext* context) {
  return StartServerSession<v1::EmbedStreamRequest, v1::EmbedStreamResponse>(context,
                                                                             streams_.NewStream());
}

uint64_t FifoService::Submit(v1::Frame frame, Done done) {
  auto shared = std::make_shared<v1::Frame>(std::move(frame));
  const bool taken =
      decoders_->Submit([this, shared, done = std::move(done)] { Decode(*shared, done); });
  (void)taken;  // there is no limit to reach
  return ++last_ticket_;
}

void FifoService::Decode(const v1::Frame& frame, const Done& done) {
  auto prepared = preparer_.Prepare(frame.encoded_image(), vision::PrepareOptions{});
  if (!prepared.ok()) {
    v1::EmbedResult result;
    ToProtoStatus(prepared.status(), result.mutable_status());
    done(std::move(result));
    return;
  }
  const MutexLock lock(mutex_);
  queue_.push_back({std::move(prepared->patches), done});
  changed_.NotifyOne();
}

void FifoService::EncodeAll(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::deque<Waiting> batch = NextBatch(stop);
    if (!batch.empty()) EncodeOnce(std::move(batch));
  }
}

std::deque<FifoService::Waiting> FifoService::NextBatch(const std::stop_token& stop) {
  const MutexLock lock(mutex_);
  while (queue_.empty() && !stop.stop_requested()) changed_.Wait(mutex_);
  std::deque<Waiting> batch;
  while (!queue_.empty() && batch.size() < batch_) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void FifoService::EncodeOnce(std::deque<Waiting> batch) {
  std::vector<const vision::Patches*> images;
  for (const Waiting& waiting : batch) images.push_back(&waiting.patches);
  const auto vectors = encoder_.Encode(images);
  for (size_t i = 0; i < batch.size(); ++i) {
    v1::EmbedResult result;
    v1::Embedding& embedding = *result.mutable_embedding();
    embedding.set_data(EncodeHalf((*vectors)[i]));
    embedding.set_dtype(v1::D_TYPE_F16);
    embedding.set_dim(kTimedDim);
    const auto& fingerprint = encoder_.info().fingerprint;
    embedding.set_model_fingerprint(fingerprint.data(), fingerprint.size());
    result.set_cache(v1::CACHE_OUTCOME_MISS);
    batch[i].done(std::move(result));
  }
}

v1::Welcome FifoService::MakeWelcome() {
  v1::Welcome welcome;
  welcome.set_protocol(1);
  const auto& fingerprint = encoder_.info().fingerprint;
  welcome.set_model_fingerprint(fingerprint.data(), fingerprint.size());
  welcome.set_dim(kTimedDim);
  welcome.set_window_frames(kNoLimit);
  welcome.set_replica_id("fifo");
  return welcome;
}

}  // namespace emotion::bench

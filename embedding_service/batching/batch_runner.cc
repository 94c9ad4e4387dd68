#include "embedding_service/batching/batch_runner.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/metrics.h"

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

absl::Status Draining() {
  return Error(Reason::kDraining, "this server is about to stop; send the frame elsewhere");
}

std::chrono::milliseconds RoundUp(std::chrono::nanoseconds duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration);
}

BatchRunner::Encoders One(std::unique_ptr<vision::VisionEncoder> encoder) {
  BatchRunner::Encoders encoders;
  encoders.push_back(std::move(encoder));
  return encoders;
}

bool IsHalf(vision::Precision precision) { return precision != vision::Precision::kFp32; }

}  // namespace

BatchRunner::BatchRunner(Options options, Encoders encoders, Metrics& metrics)
    : options_(std::move(options)),
      encoders_(std::move(encoders)),
      info_(encoders_.front()->info()),
      metrics_(metrics),
      // An encoder that is fp32 already would only say the same again.
      fp32_(IsHalf(info_.precision) ? options_.make_fp32 : EncoderFactory()),
      queue_(options_.rules, encoders_.size()) {
  queue_.Learn(options_.measured);
  for (size_t i = 0; i < encoders_.size(); ++i) {
    threads_.emplace_back([this, i](const std::stop_token& stop) { Run(stop, i); });
  }
}

BatchRunner::BatchRunner(Options options, std::unique_ptr<vision::VisionEncoder> encoder,
                         Metrics& metrics)
    : BatchRunner(std::move(options), One(std::move(encoder)), metrics) {}

BatchRunner::~BatchRunner() { Stop(); }

absl::StatusOr<Reservation> BatchRunner::Reserve(const PlaceRequest& request) {
  Job evicted;  // destroyed after the lock is dropped: an image is large
  const MutexLock lock(mutex_);
  if (stopped_) return Draining();
  auto reserved = queue_.Reserve(request, steady_clock::now());
  if (reserved.ok() && reserved->evicted) evicted = jobs_.extract(*reserved->evicted);
  ReportQueue();
  return reserved;
}

void BatchRunner::Release(Place place) {
  const MutexLock lock(mutex_);
  queue_.Release(std::move(place));
  ReportQueue();
}

absl::Status BatchRunner::Push(Ticket ticket, EncodeJob job, Place place) {
  const MutexLock lock(mutex_);
  if (stopped_) {
    queue_.Release(std::move(place));
    return Draining();
  }
  const TimePoint now = steady_clock::now();
  queue_.Push({.ticket = ticket,
               .patches = job.patches.grid.patches(),
               .deadline = job.deadline,
               .interactive = job.interactive,
               .alone = job.alone},
              std::move(place), now);
  jobs_.emplace(ticket, Taken{std::move(job), now});
  ReportQueue();
  work_.NotifyOne();
  return absl::OkStatus();
}

bool BatchRunner::Cancel(Ticket ticket) {
  Job taken;
  const MutexLock lock(mutex_);
  if (!queue_.Remove(ticket)) return false;
  taken = jobs_.extract(ticket);
  ReportQueue();
  return true;
}

bool BatchRunner::Waits(Ticket ticket) const {
  const MutexLock lock(mutex_);
  return jobs_.contains(ticket);
}

std::optional<Place> BatchRunner::TakeBack(Ticket ticket) {
  Job taken;
  const MutexLock lock(mutex_);
  std::optional<Place> place = queue_.TakeBack(ticket);
  if (place) taken = jobs_.extract(ticket);
  return place;
}

void BatchRunner::Raise(Ticket ticket, TimePoint deadline, bool interactive) {
  const MutexLock lock(mutex_);
  queue_.Raise(ticket, deadline, interactive, steady_clock::now());
}

QueueLoad BatchRunner::Load(const std::string& subject) const {
  const MutexLock lock(mutex_);
  const WaitEstimate estimate =
      queue_.Estimate(subject, options_.typical_patches, steady_clock::now());
  return {.frames = queue_.frames(),
          .wait = RoundUp(estimate.wait),
          .next_frame_after = RoundUp(estimate.answer)};
}

void BatchRunner::Stop() {
  std::vector<Taken> left;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    left = Withdraw(queue_.TakeAll());
    for (std::jthread& thread : threads_) thread.request_stop();
    work_.NotifyAll();
    ReportQueue();
  }
  for (Taken& taken : left) taken.job.done({.vector = Draining()});
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void BatchRunner::Run(const std::stop_token& stop, size_t encoder) {
  std::vector<Taken> batch;
  std::vector<Taken> dead;
  while (WaitForWork(stop, encoder, &batch, &dead)) {
    for (Taken& taken : dead) {
      taken.job.done({.vector = Error(Reason::kDeadline, "the deadline passed in the queue"),
                      .queued = steady_clock::now() - taken.pushed});
    }
    if (!batch.empty()) EncodeBatch(encoder, batch);
  }
}

// False: stop. Else what to encode and what died waiting; one of the two may be empty.
bool BatchRunner::WaitForWork(const std::stop_token& stop, size_t encoder,
                              std::vector<Taken>* batch, std::vector<Taken>* dead) {
  const MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    const TimePoint now = steady_clock::now();
    *dead = Withdraw(queue_.TakeDead(now));
    *batch = Withdraw(queue_.Take(encoder, now));
    if (!batch->empty() || !dead->empty()) {
      ReportQueue();
      return true;
    }
    if (const auto when = queue_.NextTake(encoder, now)) {
      work_.WaitUntil(mutex_, *when);
    } else {
      work_.Wait(mutex_);
    }
  }
  return false;
}

std::vector<BatchRunner::Taken> BatchRunner::Withdraw(const std::vector<Ticket>& tickets) {
  std::vector<Taken> taken;
  taken.reserve(tickets.size());
  for (const Ticket ticket : tickets) {
    Job job = jobs_.extract(ticket);
    taken.push_back(std::move(job.mapped()));
  }
  return taken;
}

void BatchRunner::EncodeBatch(size_t encoder, std::span<Taken> batch) {
  const TimePoint taken = steady_clock::now();
  std::vector<const vision::Patches*> images;
  for (const Taken& frame : batch) images.push_back(&frame.job.patches);
  bool in_one_piece = true;
  std::vector<Vector> vectors = EncodeInPieces(encoder, images, &in_one_piece);
  {
    const MutexLock lock(mutex_);
    queue_.Encoded(encoder, steady_clock::now(), vectors.front().ok() && in_one_piece);
    ReportQueue();
  }
  metrics_.Batch(batch.size());
  AnswerBatch(batch, taken, std::move(vectors));
}

void BatchRunner::AnswerBatch(std::span<Taken> batch, TimePoint taken,
                              std::vector<Vector> vectors) {
  for (size_t i = 0; i < batch.size(); ++i) {
    EncodeAnswer answer{.vector = std::move(vectors[i]), .queued = taken - batch[i].pushed};
    if (answer.vector.ok() && !FitsFp16(*answer.vector)) {
      answer.vector = EncodeInFp32(batch[i].job.patches);
      answer.cacheable = false;
    }
    answer.encoded = steady_clock::now() - taken;
    batch[i].job.done(std::move(answer));
  }
}

// Out of device memory: the rest goes in pieces of half the size, down to one image, which is then
// given up alone. Any other error is the batch's.
std::vector<BatchRunner::Vector> BatchRunner::EncodeInPieces(size_t encoder, Images images,
                                                             bool* in_one_piece) {
  std::vector<Vector> vectors;
  size_t most = images.size();
  while (vectors.size() < images.size()) {
    const size_t size = std::min(most, images.size() - vectors.size());
    Vectors piece = CheckedEncode(*encoders_[encoder], images.subspan(vectors.size(), size));
    if (piece.ok()) {
      std::move(piece->begin(), piece->end(), std::back_inserter(vectors));
      continue;
    }
    *in_one_piece = false;
    const absl::Status failed = absl::InternalError(piece.status().message());
    if (piece.status().code() != absl::StatusCode::kResourceExhausted) {
      LogError("encode failed", {{"frames", static_cast<int64_t>(images.size())},
                                 {"error", std::string(failed.message())}});
      return std::vector<Vector>(images.size(), failed);
    }
    most = std::max<size_t>(size / 2, 1);
    TellOutOfMemory(encoder, size, most);
    if (size == 1) vectors.emplace_back(failed);
  }
  return vectors;
}

void BatchRunner::TellOutOfMemory(size_t encoder, size_t frames, size_t from_now_on) {
  metrics_.Incident(IncidentKind::kOutOfMemory);
  LogWarning("out of device memory: batches are halved for a while",
             {{"frames", static_cast<int64_t>(frames)},
              {"from_now_on", static_cast<int64_t>(from_now_on)},
              {"device", encoders_[encoder]->info().device}});
  const MutexLock lock(mutex_);
  queue_.LimitBatch(encoder, from_now_on, steady_clock::now() + options_.small_batches_for);
}

BatchRunner::Vector BatchRunner::EncodeInFp32(const vision::Patches& patches) {
  metrics_.Incident(IncidentKind::kNonfiniteRerun);
  LogWarning("the encoder gave values that fp16 cannot hold",
             {{"precision", std::string(vision::PrecisionName(info_.precision))}});
  return fp32_.Encode(patches);
}

void BatchRunner::ReportQueue() {
  metrics_.SetQueueFrames(static_cast<int64_t>(queue_.frames()));
  metrics_.SetQueueWait(
      RoundUp(queue_.Estimate({}, options_.typical_patches, steady_clock::now()).wait));
}

}  // namespace emotion::embedding

#include "embedding_service/batching/batch_runner.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/metrics.h"

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kSmallBatchesFor{60};
constexpr float kLargestFp16 = 65504.0F;

bool FitsFp16(const std::vector<float>& vector) {
  return std::all_of(vector.begin(), vector.end(),
                     [](float v) { return std::isfinite(v) && std::abs(v) <= kLargestFp16; });
}

using Vectors = absl::StatusOr<std::vector<std::vector<float>>>;

// One call of an encoder, with its promises checked: it does not throw, and answers every image
// with dim values. An exception would otherwise end the process from the encoder thread.
Vectors CallEncoder(vision::VisionEncoder& encoder,
                    std::span<const vision::Patches* const> images) {
  Vectors vectors;
  try {
    vectors = encoder.Encode(images);
  } catch (const std::exception& error) {
    return Error(Reason::kInternal, fmt::format("the encoder threw: {}", error.what()));
  }
  if (!vectors.ok()) return vectors;
  const auto dim = static_cast<size_t>(encoder.info().dim);
  const bool complete =
      vectors->size() == images.size() &&
      std::all_of(vectors->begin(), vectors->end(), [&](const auto& v) { return v.size() == dim; });
  if (!complete) {
    return Error(Reason::kInternal, fmt::format("the encoder gave {} vectors for {} images, or not "
                                                "all of {} values",
                                                vectors->size(), images.size(), dim));
  }
  return vectors;
}

absl::Status Draining() {
  return Error(Reason::kDraining, "this server is about to stop; send the frame elsewhere");
}

std::chrono::milliseconds RoundUp(std::chrono::nanoseconds duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration);
}

}  // namespace

BatchRunner::BatchRunner(Options options, std::unique_ptr<vision::VisionEncoder> encoder,
                         Metrics& metrics)
    : options_(std::move(options)),
      encoder_(std::move(encoder)),
      info_(encoder_->info()),
      metrics_(metrics),
      queue_(options_.rules) {
  queue_.Measured(options_.measured.patches, options_.measured.duration);
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

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

std::optional<Place> BatchRunner::TakeBack(Ticket ticket) {
  Job taken;
  const MutexLock lock(mutex_);
  std::optional<Place> place = queue_.TakeBack(ticket);
  if (place) taken = jobs_.extract(ticket);
  return place;
}

void BatchRunner::Raise(Ticket ticket, TimePoint deadline, bool interactive) {
  const MutexLock lock(mutex_);
  queue_.Raise(ticket, deadline, interactive);
}

QueueLoad BatchRunner::Load() const {
  const MutexLock lock(mutex_);
  const TimePoint now = steady_clock::now();
  return {.frames = queue_.frames(),
          .wait = RoundUp(queue_.EstimateWait(now)),
          .next_frame_after = RoundUp(queue_.EstimateAnswer(options_.typical_patches, now))};
}

void BatchRunner::Stop() {
  std::vector<Taken> left;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    left = Withdraw(queue_.TakeAll());
    thread_.request_stop();
    work_.NotifyAll();
  }
  for (Taken& taken : left) taken.job.done({.vector = Draining()});
  if (thread_.joinable()) thread_.join();
}

void BatchRunner::Run(std::stop_token stop) {
  std::vector<Taken> batch;
  std::vector<Taken> dead;
  while (WaitForWork(stop, &batch, &dead)) {
    for (Taken& taken : dead) {
      taken.job.done({.vector = Error(Reason::kDeadline, "the deadline passed in the queue"),
                      .queued = steady_clock::now() - taken.pushed});
    }
    if (!batch.empty()) EncodeBatch(batch, steady_clock::now());
  }
}

// False: stop. Else what to encode and what died waiting; one of the two may be empty.
bool BatchRunner::WaitForWork(const std::stop_token& stop, std::vector<Taken>* batch,
                              std::vector<Taken>* dead) {
  const MutexLock lock(mutex_);
  while (queue_.empty() && !stop.stop_requested()) work_.Wait(mutex_);
  if (stop.stop_requested()) return false;
  const TimePoint now = steady_clock::now();
  *dead = Withdraw(queue_.TakeDead(now));
  *batch = Withdraw(queue_.Take(now));
  ReportQueue();
  return true;
}

std::vector<BatchRunner::Taken> BatchRunner::Withdraw(const std::vector<Ticket>& tickets) {
  std::vector<Taken> taken;
  taken.reserve(tickets.size());
  for (const Ticket ticket : tickets) {
    auto job = jobs_.extract(ticket);
    taken.push_back(std::move(job.mapped()));
  }
  return taken;
}

void BatchRunner::EncodeBatch(std::span<Taken> batch, TimePoint taken) {
  Vectors vectors = EncodeOrHalve(batch);
  {
    const MutexLock lock(mutex_);
    queue_.Encoded(steady_clock::now(), vectors.ok());
    ReportQueue();
  }
  metrics_.Batch(batch.size());
  if (vectors.ok()) {
    AnswerBatch(batch, taken, *std::move(vectors));
    return;
  }
  LogError("encode failed", {{"frames", static_cast<int64_t>(batch.size())},
                             {"error", std::string(vectors.status().message())}});
  for (Taken& frame : batch) {
    frame.job.done({.vector = absl::InternalError(vectors.status().message()),
                    .queued = taken - frame.pushed,
                    .encoded = steady_clock::now() - taken});
  }
}

void BatchRunner::AnswerBatch(std::span<Taken> batch, TimePoint taken,
                              std::vector<std::vector<float>> vectors) {
  for (size_t i = 0; i < batch.size(); ++i) {
    EncodeAnswer answer{.vector = std::move(vectors[i]), .queued = taken - batch[i].pushed};
    if (!FitsFp16(*answer.vector)) {
      answer.vector = EncodeInFp32(batch[i].job.patches);
      answer.cacheable = false;
    }
    answer.encoded = steady_clock::now() - taken;
    batch[i].job.done(std::move(answer));
  }
}

Vectors BatchRunner::EncodeOrHalve(std::span<Taken> batch) {
  std::vector<const vision::Patches*> images;
  for (const Taken& taken : batch) images.push_back(&taken.job.patches);
  Vectors vectors = CallEncoder(*encoder_, images);
  const bool out_of_memory = vectors.status().code() == absl::StatusCode::kResourceExhausted;
  if (!out_of_memory || batch.size() == 1) return vectors;

  const size_t half = batch.size() / 2;
  metrics_.Incident(IncidentKind::kOutOfMemory);
  LogWarning("out of device memory: the batch is halved",
             {{"frames", static_cast<int64_t>(batch.size())}});
  {
    const MutexLock lock(mutex_);
    queue_.LimitBatch(half, steady_clock::now() + kSmallBatchesFor);
  }
  Vectors first = EncodeOrHalve(batch.first(half));
  if (!first.ok()) return first;
  Vectors second = EncodeOrHalve(batch.subspan(half));
  if (!second.ok()) return second;
  std::move(second->begin(), second->end(), std::back_inserter(*first));
  return first;
}

absl::StatusOr<std::vector<float>> BatchRunner::EncodeInFp32(const vision::Patches& patches) {
  metrics_.Incident(IncidentKind::kNonfiniteRerun);
  LogWarning("the encoder gave values that fp16 cannot hold",
             {{"precision", std::string(vision::PrecisionName(info_.precision))}});
  const absl::Status failed =
      Error(Reason::kInternal, "the encoder gave values that are not finite for this image");
  if (info_.precision == vision::Precision::kFp32 || !options_.make_fp32) return failed;
  if (fp32_ == nullptr) {
    auto made = options_.make_fp32();
    if (!made.ok()) return absl::InternalError(made.status().message());
    fp32_ = *std::move(made);
  }
  const vision::Patches* const image = &patches;
  Vectors vectors = CallEncoder(*fp32_, {&image, 1});
  if (!vectors.ok()) return absl::InternalError(vectors.status().message());
  if (!FitsFp16(vectors->front())) return failed;
  return std::move(vectors->front());
}

void BatchRunner::ReportQueue() {
  metrics_.SetQueueFrames(static_cast<int64_t>(queue_.frames()));
  metrics_.SetQueueWait(RoundUp(queue_.EstimateWait(steady_clock::now())));
}

}  // namespace emotion::embedding

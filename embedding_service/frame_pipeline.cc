#include "embedding_service/frame_pipeline.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/numeric/half.h"
#include "common/observe/metrics.h"
#include "vision/preprocess/version.h"

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

int64_t UnixMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

vision::ImagePreparer::Settings WithBudget(vision::ImagePreparer::Settings settings,
                                           vision::DecodeBudget* budget) {
  settings.budget = budget;
  return settings;
}

// Bit n is the protocol's QualityWarning n, which counts from 1 where ours counts from 0.
uint32_t WarningBits(const vision::Quality& quality) {
  uint32_t bits = 0;
  for (const vision::QualityWarning warning : quality.warnings) {
    bits |= 2U << static_cast<uint32_t>(warning);
  }
  return bits;
}

absl::Status Draining() {
  return Error(Reason::kDraining, "this server is about to stop; send the frame elsewhere");
}

absl::Status Evicted(std::chrono::milliseconds wait) {
  return WithRetry(Error(Reason::kQueueFull, "the queue is full and others hold less of it"), wait);
}

}  // namespace

// One unanswered frame. Whoever takes it out of frames_ answers it: that makes it exactly once.
struct FramePipeline::Frame {
  Ticket ticket = 0;
  FrameRequest request;
  FrameDone done;
  TimePoint submitted;
  TimePoint deadline;
  ContentKey key{};  // where the cache is used

  // Guarded by the pipeline's mutex_ until the frame is taken out of frames_.
  std::chrono::nanoseconds lookup{0};
  bool coalesced = false;
  TimePoint joined;  // another's flight
  FlightPtr flight;
};

// The work that one frame asked for and others may wait for.
struct FramePipeline::Flight {
  // Set when it is launched.
  Ticket ticket = 0;
  ContentKey key{};
  FrameRequest request;  // of its first frame
  bool shared = false;

  // Guarded by the pipeline's mutex_.
  std::vector<Ticket> waiters;
  TimePoint deadline;
  bool interactive = true;
  bool queued = false;
  Place place;  // until queued

  // Written by the decode thread before the encoder sees the flight.
  uint32_t quality_warnings = 0;
  std::chrono::nanoseconds decode{0};
};

FramePipeline::FramePipeline(Options options, std::unique_ptr<BatchRunner> runner,
                             EmbeddingCache& cache, Metrics& metrics)
    : options_(std::move(options)),
      runner_(std::move(runner)),
      cache_(cache),
      metrics_(metrics),
      decode_budget_(options_.decode_memory_bytes),
      preparer_(WithBudget(options_.preparer, &decode_budget_)),
      decoders_(std::make_unique<WorkerPool>(options_.decode_threads, options_.queue_limit)),
      timer_([this](uint64_t ticket) {
        Withdraw(ticket, Error(Reason::kDeadline, "the frame's deadline passed"));
      }) {}

FramePipeline::~FramePipeline() { Stop(); }

Ticket FramePipeline::Submit(FrameRequest request, FrameDone done) {
  auto frame = std::make_shared<Frame>();
  frame->submitted = steady_clock::now();
  frame->deadline = frame->submitted + request.timeout;
  frame->request = std::move(request);
  frame->done = std::move(done);
  bool refused = false;
  {
    const MutexLock lock(mutex_);
    frame->ticket = next_ticket_++;
    refused = draining_;
    if (!refused) frames_.emplace(frame->ticket, frame);
  }
  const Ticket ticket = frame->ticket;
  if (refused) {
    Refuse(*frame, Draining());
    return ticket;
  }
  timer_.Add(ticket, frame->deadline);
  if (frame->request.cache != CacheUse::kNoStore) frame->key = KeyOf(frame->request);
  if (frame->request.cache != CacheUse::kUse) {
    Miss(frame);
    return ticket;
  }
  cache_.Lookup(frame->key, [this, frame](std::shared_ptr<const CachedEmbedding> value) {
    LookedUp(frame, std::move(value));
  });
  return ticket;
}

void FramePipeline::LookedUp(const FramePtr& frame, std::shared_ptr<const CachedEmbedding> value) {
  const auto lookup = steady_clock::now() - frame->submitted;
  metrics_.StageTime(Stage::kCache, lookup);
  {
    const MutexLock lock(mutex_);
    if (!frames_.contains(frame->ticket)) return;  // answered while it was looked up
    frame->lookup = lookup;
    if (value) Extract(frame->ticket);
  }
  if (value) {
    Answer(*frame, {.embedding = std::move(value), .outcome = Outcome::kExact});
  } else {
    Miss(frame);
  }
}

void FramePipeline::Miss(const FramePtr& frame) {
  absl::Status refused;
  FlightPtr evicted;
  {
    const MutexLock lock(mutex_);
    if (!frames_.contains(frame->ticket)) return;  // cancelled, or its deadline passed
    if (Join(*frame)) return;
    refused = Launch(*frame, &evicted);
    if (!refused.ok()) Extract(frame->ticket);
  }
  if (evicted) Land(evicted, {.status = Evicted(runner_->Load().wait)});
  if (!refused.ok()) Refuse(*frame, refused);
}

bool FramePipeline::Join(Frame& frame) {
  if (frame.request.cache != CacheUse::kUse || frame.request.resent) return false;
  const auto found = shared_.find(frame.key);
  if (found == shared_.end()) return false;
  Flight& flight = *found->second;
  frame.coalesced = true;
  frame.joined = steady_clock::now();
  frame.flight = found->second;
  flight.waiters.push_back(frame.ticket);
  flight.deadline = std::max(flight.deadline, frame.deadline);
  flight.interactive |= frame.request.interactive;
  if (flight.queued) runner_->Raise(flight.ticket, flight.deadline, flight.interactive);
  return true;
}

// Not OK: refused, nothing was started. Either way `evicted` may have lost its place to this frame.
absl::Status FramePipeline::Launch(Frame& frame, FlightPtr* evicted) {
  if (!decoders_) return Draining();
  const size_t bytes = frame.request.image.size();
  if (undecoded_bytes_ > 0 && undecoded_bytes_ + bytes > options_.undecoded_bytes) {
    return WithRetry(Error(Reason::kQueueFull, "too many images wait to be decoded"),
                     runner_->Load().wait);
  }
  const int64_t patches = PatchesOf(frame.request.prepare);
  auto reserved = runner_->Reserve(
      {.patches = patches, .deadline = frame.deadline, .interactive = frame.request.interactive});
  if (!reserved.ok()) return reserved.status();
  if (reserved->evicted) *evicted = flights_.at(*reserved->evicted);

  auto flight = std::make_shared<Flight>();
  if (!decoders_->Submit([this, flight] { Decode(flight); })) {
    runner_->Release(std::move(reserved->place));
    return Error(Reason::kQueueFull, "too many images wait to be decoded");
  }
  flight->ticket = frame.ticket;
  flight->key = frame.key;
  flight->shared = frame.request.cache != CacheUse::kNoStore && !frame.request.resent &&
                   !shared_.contains(frame.key);
  flight->place = std::move(reserved->place);
  flight->waiters = {frame.ticket};
  flight->deadline = frame.deadline;
  flight->interactive = frame.request.interactive;
  flight->request = std::move(frame.request);
  undecoded_bytes_ += bytes;
  frame.flight = flight;
  flights_.emplace(flight->ticket, flight);
  if (flight->shared) shared_.emplace(flight->key, flight);
  return absl::OkStatus();
}

void FramePipeline::Decode(const FlightPtr& flight) {
  if (Abandoned(flight)) return;
  {
    const MutexLock lock(mutex_);
    flight->request.prepare.deadline = flight->deadline;  // others may have joined with more time
  }
  const TimePoint began = steady_clock::now();
  auto prepared = preparer_.Prepare(flight->request.image, flight->request.prepare);
  flight->decode = steady_clock::now() - began;
  metrics_.StageTime(Stage::kDecode, flight->decode);
  {
    const MutexLock lock(mutex_);
    FreeImage(*flight);
  }
  if (prepared.ok()) {
    Enqueue(flight, *std::move(prepared));
  } else {
    runner_->Release(std::move(flight->place));
    Land(flight, {.status = prepared.status()});
  }
}

// True when nobody waits for the flight any more; it is then closed and its place given back.
bool FramePipeline::Abandoned(const FlightPtr& flight) {
  const MutexLock lock(mutex_);
  if (!flight->waiters.empty()) return false;
  runner_->Release(std::move(flight->place));
  FreeImage(*flight);
  CloseFlight(*flight);
  return true;
}

void FramePipeline::FreeImage(Flight& flight) {
  undecoded_bytes_ -= flight.request.image.size();
  flight.request.image = std::string();  // an empty one lets go of the memory
}

void FramePipeline::Enqueue(const FlightPtr& flight, vision::PreparedImage prepared) {
  if (Abandoned(flight)) return;
  flight->quality_warnings = WarningBits(prepared.quality);
  for (const vision::QualityWarning warning : prepared.quality.warnings) {
    metrics_.QualityWarning(vision::QualityWarningName(warning));
  }
  absl::Status pushed;
  {
    const MutexLock lock(mutex_);
    EncodeJob job{
        .patches = std::move(prepared.patches),
        .deadline = flight->deadline,
        .interactive = flight->interactive,
        .alone = flight->request.resent,
        .done = [this, flight](EncodeAnswer answer) { Encoded(flight, std::move(answer)); }};
    flight->queued = true;  // before Push: the job may be answered before Push returns
    pushed = runner_->Push(flight->ticket, std::move(job), std::move(flight->place));
  }
  if (!pushed.ok()) Land(flight, {.status = pushed});
}

void FramePipeline::Encoded(const FlightPtr& flight, EncodeAnswer answer) {
  FrameResult result;
  result.times = {.decode = flight->decode, .queue = answer.queued, .encode = answer.encoded};
  metrics_.StageTime(Stage::kQueue, answer.queued);
  if (!answer.vector.ok()) {
    result.status = answer.vector.status();
    Land(flight, result);
    return;
  }
  metrics_.StageTime(Stage::kEncode, answer.encoded);
  // Rounded here, once, so that a hit and a miss give the heads the same numbers.
  result.embedding = std::make_shared<const CachedEmbedding>(
      CachedEmbedding{.halves = EncodeHalf(*answer.vector),
                      .quality_warnings = flight->quality_warnings,
                      .encoded_at_us = UnixMicroseconds()});
  if (answer.cacheable && flight->request.cache != CacheUse::kNoStore) {
    cache_.Store({.key = flight->key,
                  .session = flight->request.session,
                  .accepted_at_us = flight->request.accepted_at_us,
                  .value = result.embedding});
  }
  Land(flight, result);
}

void FramePipeline::Land(const FlightPtr& flight, const FrameResult& result) {
  std::vector<FramePtr> waiting;
  {
    const MutexLock lock(mutex_);
    CloseFlight(*flight);
    for (const Ticket ticket : flight->waiters) {
      if (FramePtr frame = Extract(ticket)) waiting.push_back(std::move(frame));
    }
    flight->waiters.clear();
  }
  const bool failed = ReasonOf(result.status) == Reason::kInternal;
  for (const FramePtr& frame : waiting) {
    // Callers are told no details: here they are, under the id that callers get.
    if (failed) {
      LogError("a frame failed", {{"request_id", frame->coalesced ? frame->request.request_id
                                                                  : flight->request.request_id},
                                  {"error", std::string(result.status.message())}});
    }
    FrameResult own = result;
    if (frame->coalesced) {
      own.outcome = Outcome::kCoalesced;
      own.times = {.queue = steady_clock::now() - frame->joined};
    }
    Answer(*frame, std::move(own));
  }
}

void FramePipeline::CloseFlight(const Flight& flight) {
  if (flight.shared) shared_.erase(flight.key);
  flights_.erase(flight.ticket);
}

void FramePipeline::Cancel(Ticket ticket) {
  Withdraw(ticket, Error(Reason::kCancelled, "the frame was withdrawn"));
}

void FramePipeline::Withdraw(Ticket ticket, const absl::Status& status) {
  FramePtr frame;
  {
    const MutexLock lock(mutex_);
    frame = Extract(ticket);
    if (!frame) return;
    if (const FlightPtr flight = frame->flight) {
      std::erase(flight->waiters, ticket);
      // A flight that is decoding or being encoded goes on: it looks again before its next step,
      // and another frame may join it until then.
      if (flight->waiters.empty() && flight->queued && runner_->Cancel(flight->ticket)) {
        CloseFlight(*flight);
      }
    }
  }
  Answer(*frame, {.status = status});
}

FramePipeline::FramePtr FramePipeline::Extract(Ticket ticket) {
  auto node = frames_.extract(ticket);
  return node.empty() ? nullptr : std::move(node.mapped());
}

void FramePipeline::Refuse(Frame& frame, const absl::Status& status) {
  metrics_.Refused(ReasonOf(status));
  timer_.Remove(frame.ticket, frame.deadline);
  frame.done({.status = status, .next_frame_after = runner_->Load().next_frame_after});
}

void FramePipeline::Answer(Frame& frame, FrameResult result) {
  timer_.Remove(frame.ticket, frame.deadline);
  if (!result.status.ok()) metrics_.FrameDropped(ReasonOf(result.status));
  result.times.cache = frame.lookup;
  result.next_frame_after = runner_->Load().next_frame_after;
  frame.done(std::move(result));
}

void FramePipeline::BeginDrain() {
  const MutexLock lock(mutex_);
  draining_ = true;
}

void FramePipeline::Stop() {
  std::unique_ptr<WorkerPool> decoders;
  std::vector<Ticket> unanswered;
  {
    const MutexLock lock(mutex_);
    draining_ = true;
    decoders = std::move(decoders_);
    for (const auto& [ticket, frame] : frames_) unanswered.push_back(ticket);
  }
  for (const Ticket ticket : unanswered) Withdraw(ticket, Draining());
  decoders.reset();  // joins: what was taken sees that nobody waits
  runner_->Stop();
}

FramePipeline::Held FramePipeline::held() const {
  const MutexLock lock(mutex_);
  return {.frames = frames_.size(), .flights = flights_.size()};
}

ContentKey FramePipeline::KeyOf(const FrameRequest& request) const {
  const vision::PrepareOptions& prepare = request.prepare;
  const bool native = prepare.resize == vision::ResizeMode::kNative;
  return MakeContentKey({.cache_scope = request.cache_scope,
                         .image = request.image,
                         .fingerprint = info().fingerprint,
                         .precision = info().precision,
                         .preprocessing_version = vision::kPreprocessingVersion,
                         .native = native,
                         .resize_to = native ? vision::ImageSize{} : prepare.heads_input,
                         .apply_exif = prepare.orientation == vision::OrientationMode::kApplyExif});
}

int64_t FramePipeline::PatchesOf(const vision::PrepareOptions& prepare) const {
  if (prepare.resize == vision::ResizeMode::kNative) return options_.max_patches;
  const int patch = options_.preparer.config.patch_size;
  return int64_t{prepare.heads_input.width / patch} * (prepare.heads_input.height / patch);
}

}  // namespace emotion::embedding

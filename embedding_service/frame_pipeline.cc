#include "embedding_service/frame_pipeline.h"

#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/observe/metrics.h"
#include "embedding_service/frame_pipeline_impl.h"
#include "vision/preprocess/version.h"

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

vision::ImagePreparer::Settings WithBudget(vision::ImagePreparer::Settings settings,
                                           vision::DecodeBudget* budget) {
  settings.budget = budget;
  return settings;
}

// Whether such a frame may be answered by what is there.
bool Looks(CacheUse use) { return use == CacheUse::kUse || use == CacheUse::kExactOnly; }

absl::Status Evicted(std::chrono::milliseconds wait) {
  return WithRetry(Error(Reason::kQueueFull, "the queue is full and others hold less of it"), wait);
}

}  // namespace

absl::Status FramePipeline::SupersededError() {
  return Error(Reason::kSuperseded, "a newer frame of the same face arrived");
}

absl::Status FramePipeline::DrainingError() {
  return Error(Reason::kDraining, "this server is about to stop; send the frame elsewhere");
}

FramePipeline::FramePipeline(const Options& options, std::unique_ptr<BatchRunner> runner,
                             EmbeddingCache& cache, Metrics& metrics)
    : options_(options),
      runner_(std::move(runner)),
      cache_(cache),
      metrics_(metrics),
      decode_budget_(options_.decode_memory_bytes),
      preparer_(WithBudget(options_.preparer, &decode_budget_)),
      small_preparer_(WithBudget(options_.preparer, nullptr)),
      decoders_(std::make_unique<WorkerPool>(options_.decode_threads, options_.queue_limit)),
      timer_([this](uint64_t ticket) {
        Withdraw(ticket, Error(Reason::kDeadline, "the frame's deadline passed"));
      }) {}

FramePipeline::~FramePipeline() { Stop(); }

Ticket FramePipeline::Submit(FrameRequest request, FrameDone done) {
  auto frame = std::make_shared<Frame>();
  frame->submitted = steady_clock::now();
  frame->deadline = frame->submitted + request.timeout;
  frame->lane = LaneOf(request.session, request.face_id, request.sequence);
  frame->subject = request.subject;
  frame->request = std::move(request);
  frame->done = std::move(done);
  bool refused = false;
  Entrance entrance;
  {
    const MutexLock lock(mutex_);
    frame->ticket = next_ticket_++;
    refused = draining_;
    if (!refused) entrance = Enter(frame);
  }
  if (entrance.superseded) Answer(*entrance.superseded, {.status = SupersededError()});
  if (refused) {
    Refuse(*frame, DrainingError());
  } else if (entrance.entered) {
    LookUp(frame);
  }
  return frame->ticket;
}

// The frame is among the unanswered from now on, unless a newer one of its lane came before it.
FramePipeline::Entrance FramePipeline::Enter(const FramePtr& frame) {
  FramePtr superseded;
  if (frame->lane) {
    const NewestWins::Arrival arrival =
        lanes_.Arrive(*frame->lane, frame->request.sequence, frame->ticket, frame->request.resent,
                      frame->submitted);
    if (arrival.superseded) return {.entered = false, .superseded = frame};
    if (arrival.predecessor != 0) superseded = Supersede(arrival.predecessor, *frame);
  }
  frames_.emplace(frame->ticket, frame);
  return {.entered = true, .superseded = std::move(superseded)};
}

// Takes out the frame that `newer` makes out of date, and hands its place in line on. Null: its
// image is decoded or being so. Then it stands in line until `newer` is as far: who sends faster
// than that would never be answered else. One of a lane at a time is prepared behind it.
FramePipeline::FramePtr FramePipeline::Supersede(Ticket ticket, Frame& newer) {
  Frame& older = *frames_.at(ticket);
  const bool queued = older.flight && older.flight->queued;
  if (queued || (IsPrepared(older) && !IsPreparedBefore(older))) {
    newer.behind = ticket;
    return nullptr;
  }
  newer.behind = older.behind;
  if (older.flight) LeaveFlight(older);
  if (older.subject == newer.subject) {
    newer.place = std::move(older.place);
    newer.turn = std::move(older.turn);
  }
  return Extract(ticket);
}

// Whether its image is being decoded or compared.
bool FramePipeline::IsPrepared(const Frame& frame) {
  return frame.flight && !frame.flight->turn && !frame.flight->queued;
}

bool FramePipeline::IsPreparedBefore(const Frame& frame) const {
  const auto found = frames_.find(frame.behind);
  return found != frames_.end() && IsPrepared(*found->second);
}

// Takes out the frame that `newer` is behind, and gives `place` (none: null) for its own. Null:
// there is none any more, or it is being encoded, and its answer will soon be there.
FramePipeline::FramePtr FramePipeline::Overtake(Frame& newer, Place* place) {
  const auto found = frames_.find(std::exchange(newer.behind, 0));
  if (found == frames_.end()) return nullptr;
  Frame& older = *found->second;
  if (older.flight && !LeaveFlight(older)) return nullptr;
  if (place && older.place && older.subject == newer.subject) std::swap(older.place, *place);
  return Extract(older.ticket);
}

// The frame waits for its flight no more. Where no other frame does either the work ends, and what
// it held in line is the frame's again. False: it is being encoded.
bool FramePipeline::LeaveFlight(Frame& frame) {
  const FlightPtr flight = frame.flight;
  if (flight->waiters.size() > 1) {
    if (flight->queued && !runner_->Waits(flight->ticket)) return false;
  } else if (flight->queued) {
    auto place = runner_->TakeBack(flight->ticket);
    if (!place) return false;
    frame.place = *std::move(place);
    CloseFlight(*flight);
  } else if (flight->turn) {
    frame.place = std::move(flight->place);
    frame.turn = std::move(flight->turn);
    frame.turn->flight = nullptr;
    FreeImage(*flight);
    CloseFlight(*flight);
  } else {  // its decoder finds that nobody waits
    frame.place = std::move(flight->place);
    Unshare(*flight);
  }
  // A flight that was launched by another frame may stand in another's turn.
  if (flight->request.subject != frame.subject && frame.place) {
    runner_->Release(std::move(frame.place));
  }
  std::erase(flight->waiters, frame.ticket);
  return true;
}

void FramePipeline::LookUp(const FramePtr& frame) {
  timer_.Add(frame->ticket, frame->deadline);
  if (frame->request.cache != CacheUse::kNoStore) frame->key = KeyOf(frame->request);
  frame->near_lane = NearLaneOf(frame->request);
  if (!Looks(frame->request.cache)) {
    Miss(frame);
    return;
  }
  BeginAsking();
  cache_.Lookup({.key = frame->key, .lane = frame->near_lane}, [this, frame](CacheFinding found) {
    LookedUp(frame, std::move(found));
    EndAsking();
  });
}

void FramePipeline::LookedUp(const FramePtr& frame, CacheFinding found) {
  const std::shared_ptr<const CachedEmbedding> value = std::move(found.exact);
  const auto lookup = steady_clock::now() - frame->submitted;
  metrics_.StageTime(Stage::kCache, lookup);
  {
    const MutexLock lock(mutex_);
    if (!frames_.contains(frame->ticket)) return;  // answered while it was looked up
    frame->lookup = lookup;
    frame->shared_near = std::move(found.shared_near);
    if (value) Extract(frame->ticket);
  }
  if (value) {
    AnswerExact(*frame, value);
  } else {
    Miss(frame);
  }
}

void FramePipeline::AnswerExact(Frame& frame, std::shared_ptr<const CachedEmbedding> value) {
  const uint32_t warnings = value->quality_warnings;
  Answer(frame,
         {.embedding = std::move(value), .quality_warnings = warnings, .outcome = Outcome::kExact});
}

void FramePipeline::Miss(const FramePtr& frame) {
  const bool here = DecodesHere(*frame);
  absl::Status refused;
  Launched launched;
  std::shared_ptr<const CachedEmbedding> landed;
  {
    const MutexLock lock(mutex_);
    if (!frames_.contains(frame->ticket)) return;  // cancelled, or its deadline passed
    if (Join(*frame)) return;
    // A flight stores before it ends: one that ended since the lookup is not flown again.
    if (Looks(frame->request.cache)) landed = cache_.Peek(frame->key);
    if (!landed) refused = Launch(*frame, here, &launched);
    if (landed || !refused.ok()) Extract(frame->ticket);
  }
  if (landed) AnswerExact(*frame, std::move(landed));
  if (launched.overtaken) Answer(*launched.overtaken, {.status = SupersededError()});
  if (launched.evicted) Land(launched.evicted, {.status = Evicted(runner_->Load().wait)});
  if (!refused.ok()) Refuse(*frame, refused);
  if (launched.here) DecodeFlight(launched.here, /*here=*/true);
}

bool FramePipeline::Join(Frame& frame) {
  if (!Looks(frame.request.cache) || frame.request.resent) return false;
  const auto found = shared_.find(frame.key);
  if (found == shared_.end()) return false;
  Flight& flight = *found->second;
  if (frame.place) runner_->Release(std::move(frame.place));
  frame.coalesced = true;
  frame.joined = steady_clock::now();
  frame.flight = found->second;
  flight.waiters.push_back(frame.ticket);
  flight.deadline = std::max(flight.deadline, frame.deadline);
  flight.interactive |= frame.request.interactive;
  if (flight.queued) runner_->Raise(flight.ticket, flight.deadline, flight.interactive);
  return true;
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
  if (node.empty()) return nullptr;
  FramePtr frame = std::move(node.mapped());
  if (frame->place) runner_->Release(std::move(frame->place));
  if (frame->lane) lanes_.Leave(*frame->lane, ticket, steady_clock::now());
  return frame;
}

void FramePipeline::Refuse(Frame& frame, const absl::Status& status) {
  metrics_.Refused(ReasonOf(status));
  timer_.Remove(frame.ticket, frame.deadline);
  frame.done({.status = status, .next_frame_after = runner_->Load(frame.subject).next_frame_after});
}

void FramePipeline::Answer(Frame& frame, FrameResult result) {
  timer_.Remove(frame.ticket, frame.deadline);
  if (result.status.ok() && frame.behind != 0) {
    FramePtr overtaken;
    {
      const MutexLock lock(mutex_);
      overtaken = Overtake(frame, nullptr);
    }
    if (overtaken) Answer(*overtaken, {.status = SupersededError()});
  }
  if (!result.status.ok()) metrics_.FrameDropped(ReasonOf(result.status));
  result.times.cache += frame.lookup;
  result.next_frame_after = runner_->Load(frame.subject).next_frame_after;
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
  for (const Ticket ticket : unanswered) Withdraw(ticket, DrainingError());
  decoders.reset();  // joins: what was taken sees that nobody waits
  {
    const MutexLock lock(mutex_);
    while (asking_ > 0) answered_.Wait(mutex_);
  }
  runner_->Stop();
}

// Around every question to the cache, whose answer comes back into this object.
void FramePipeline::BeginAsking() {
  const MutexLock lock(mutex_);
  ++asking_;
}

void FramePipeline::EndAsking() {
  const MutexLock lock(mutex_);
  if (--asking_ == 0) answered_.NotifyAll();
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

NearLane FramePipeline::NearLaneOf(const FrameRequest& request) const {
  const vision::PrepareOptions& prepare = request.prepare;
  const bool takes_part = options_.near_matching && !request.session.empty() && !request.resent &&
                          prepare.resize == vision::ResizeMode::kHeadsInput &&
                          (request.cache == CacheUse::kUse || request.cache == CacheUse::kBypass);
  if (!takes_part) return {};
  return MakeNearLane({.session = request.session,
                       .face_id = request.face_id,
                       .fingerprint = info().fingerprint,
                       .precision = info().precision,
                       .preprocessing_version = vision::kPreprocessingVersion,
                       .resize_to = prepare.heads_input,
                       .apply_exif = prepare.orientation == vision::OrientationMode::kApplyExif});
}

}  // namespace emotion::embedding

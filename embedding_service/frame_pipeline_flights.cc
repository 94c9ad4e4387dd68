// The work of a miss: a place in the queue, decoding, encoding, and the answer to all who wait for
// it. See frame_pipeline.h; the near lookup is in frame_pipeline_near.cc.
#include <algorithm>
#include <utility>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/numeric/half.h"
#include "common/observe/metrics.h"
#include "embedding_service/frame_pipeline_impl.h"

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

int64_t UnixMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What is decoded on a thread of I/O: a webcam's face, which takes 0.2 ms. Progressive pictures and
// other formats can be made to take long.
constexpr size_t kSmallBytes = 16 * 1024;
constexpr int64_t kSmallPixels = 160 * 160;

int64_t PixelsOf(vision::ImageSize size) { return int64_t{size.width} * size.height; }

bool IsSmall(const FrameRequest& request, const vision::DecodeLimits& limits) {
  if (request.image.size() > kSmallBytes || PixelsOf(request.prepare.heads_input) > kSmallPixels) {
    return false;
  }
  const auto header = vision::InspectImage(request.image, limits);
  return header.ok() && header->format == vision::ImageFormat::kJpeg &&
         !header->needs_second_buffer && PixelsOf(header->size) <= kSmallPixels;
}

// A small picture that turns out to be near another one needs no patches, which are a third of the
// work: they are cut when it goes to the queue.
absl::StatusOr<vision::PreparedImage> Uncut(const vision::ImagePreparer& preparer,
                                            const FrameRequest& request) {
  auto decoded = preparer.Decode(request.image, request.prepare);
  if (!decoded.ok()) return decoded.status();
  return preparer.Fit(std::move(decoded->image), request.prepare);
}

// Bit n is the protocol's QualityWarning n, which counts from 1 where ours counts from 0.
uint32_t WarningBits(const vision::Quality& quality) {
  uint32_t bits = 0;
  for (const vision::QualityWarning warning : quality.warnings) {
    bits |= 2U << static_cast<uint32_t>(warning);
  }
  return bits;
}

}  // namespace

// In the place that the frame inherited, or in one of its own. Not OK: refused, nothing was
// started. Either way others may have lost their place to this frame.
absl::Status FramePipeline::Launch(Frame& frame, bool here, Launched* launched) {
  if (!decoders_) return DrainingError();
  const size_t bytes = frame.request.image.size();
  if (undecoded_bytes_ > 0 && undecoded_bytes_ + bytes > options_.undecoded_bytes) {
    return WithRetry(Error(Reason::kQueueFull, "too many images wait to be decoded"),
                     runner_->Load().wait);
  }
  if (!frame.place) {
    auto reserved = runner_->Reserve({.patches = PatchesOf(frame.request.prepare),
                                      .deadline = frame.deadline,
                                      .interactive = frame.request.interactive,
                                      .subject = frame.subject});
    if (reserved.ok()) {
      frame.place = std::move(reserved->place);
      if (reserved->evicted) launched->evicted = flights_.at(*reserved->evicted);
    } else {
      launched->overtaken = Overtake(frame, &frame.place);  // no room for both
      if (!frame.place) return reserved.status();
    }
  }
  auto flight = std::make_shared<Flight>();
  auto turn = std::exchange(frame.turn, nullptr);
  const bool inherited = turn && !turn->over;
  if (!inherited && here) {
    launched->here = flight;
    turn = nullptr;
  } else if (!inherited) {
    turn = std::make_shared<DecodeTurn>();
    if (!decoders_->Submit([this, turn] { Decode(turn); })) {
      return Error(Reason::kQueueFull, "too many images wait to be decoded");
    }
  }
  if (turn) turn->flight = flight;
  flight->turn = std::move(turn);
  flight->ticket = frame.ticket;
  flight->key = frame.key;
  flight->near_lane = frame.near_lane;
  flight->shared_near = std::move(frame.shared_near);
  flight->shared = frame.request.cache != CacheUse::kNoStore && !frame.request.resent &&
                   !shared_.contains(frame.key);
  flight->place = std::move(frame.place);
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

// Only where it may save an encode: what is encoded anyway can wait for the pool.
bool FramePipeline::DecodesHere(const Frame& frame) const {
  return !frame.near_lane.empty() && frame.request.cache == CacheUse::kUse &&
         IsSmall(frame.request, options_.preparer.limits);
}

void FramePipeline::Decode(const std::shared_ptr<DecodeTurn>& turn) {
  FlightPtr flight;
  {
    const MutexLock lock(mutex_);
    turn->over = true;
    flight = std::move(turn->flight);
    if (!flight) return;
    flight->turn = nullptr;
  }
  DecodeFlight(flight, /*here=*/false);
}

void FramePipeline::DecodeFlight(const FlightPtr& flight, bool here) {
  {
    const MutexLock lock(mutex_);
    if (Abandoned(*flight)) return;
    flight->request.prepare.deadline = flight->deadline;  // others may have joined with more time
  }
  const TimePoint began = steady_clock::now();
  auto prepared = here ? Uncut(small_preparer_, flight->request)
                       : preparer_.Prepare(flight->request.image, flight->request.prepare);
  flight->decode = steady_clock::now() - began;
  metrics_.StageTime(Stage::kDecode, flight->decode);
  {
    const MutexLock lock(mutex_);
    FreeImage(*flight);
    if (Abandoned(*flight)) return;
  }
  if (!prepared.ok()) return LandUnqueued(flight, prepared.status());
  TakePrepared(*flight, *std::move(prepared));
  LookNear(flight);
}

void FramePipeline::LandUnqueued(const FlightPtr& flight, const absl::Status& status) {
  {
    const MutexLock lock(mutex_);
    if (Abandoned(*flight)) return;
    runner_->Release(std::move(flight->place));
  }
  Land(flight, {.status = status});
}

void FramePipeline::TakePrepared(Flight& flight, vision::PreparedImage prepared) {
  flight.quality_warnings = WarningBits(prepared.quality);
  for (const vision::QualityWarning warning : prepared.quality.warnings) {
    metrics_.QualityWarning(vision::QualityWarningName(warning));
  }
  flight.prepared = std::move(prepared);
}

// True when nobody waits for the flight any more; it is then closed and its place given back.
bool FramePipeline::Abandoned(Flight& flight) {
  if (!flight.waiters.empty()) return false;
  runner_->Release(std::move(flight.place));
  FreeImage(flight);
  CloseFlight(flight);
  return true;
}

void FramePipeline::FreeImage(Flight& flight) {
  undecoded_bytes_ -= flight.request.image.size();
  flight.request.image = std::string();  // an empty one lets go of the memory
}

void FramePipeline::Enqueue(const FlightPtr& flight) {
  absl::Status pushed;
  if (flight->prepared.patches.rows.empty()) {
    const absl::Status cut = preparer_.Cut(flight->prepared);
    if (!cut.ok()) return LandUnqueued(flight, cut);
  }
  std::vector<FramePtr> overtaken;
  {
    const MutexLock lock(mutex_);
    if (Abandoned(*flight)) return;
    overtaken = OvertakeAll(*flight);
    EncodeJob job{
        .patches = std::exchange(flight->prepared, {}).patches,
        .deadline = flight->deadline,
        .interactive = flight->interactive,
        .alone = flight->request.resent,
        .done = [this, flight](EncodeAnswer answer) { Encoded(flight, std::move(answer)); }};
    flight->queued = true;  // before Push: the job may be answered before Push returns
    pushed = runner_->Push(flight->ticket, std::move(job), std::move(flight->place));
  }
  for (const FramePtr& frame : overtaken) Answer(*frame, {.status = SupersededError()});
  if (!pushed.ok()) Land(flight, {.status = pushed});
}

// Takes out the frames that those who wait for the flight are behind: they would now stand in line
// before them.
std::vector<FramePipeline::FramePtr> FramePipeline::OvertakeAll(Flight& flight) {
  std::vector<FramePtr> overtaken;
  const std::vector<Ticket> waiters = flight.waiters;  // one may be behind another of them
  for (const Ticket ticket : waiters) {
    const auto newer = frames_.find(ticket);
    if (newer == frames_.end() || newer->second->behind == 0) continue;
    Place* place = ticket == flight.ticket ? &flight.place : nullptr;
    if (FramePtr older = Overtake(*newer->second, place)) overtaken.push_back(std::move(older));
  }
  return overtaken;
}

void FramePipeline::Encoded(const FlightPtr& flight, EncodeAnswer answer) {
  FrameResult result;
  result.times = {.decode = flight->decode,
                  .cache = flight->near_lookup,
                  .queue = answer.queued,
                  .encode = answer.encoded};
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
  result.quality_warnings = flight->quality_warnings;
  if (answer.cacheable && flight->request.cache != CacheUse::kNoStore) {
    cache_.Store({.key = flight->key,
                  .session = flight->request.session,
                  .accepted_at_us = flight->request.accepted_at_us,
                  .value = result.embedding,
                  .lane = flight->near_lane,
                  .descriptor = flight->descriptor});
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
  AnswerWaiters(*flight, waiting, result);
}

void FramePipeline::AnswerWaiters(const Flight& flight, const std::vector<FramePtr>& waiters,
                                  const FrameResult& result) {
  const bool failed = ReasonOf(result.status) == Reason::kInternal;
  for (const FramePtr& frame : waiters) {
    // Callers are told no details: here they are, under the id that callers get.
    if (failed) {
      LogError("a frame failed", {{"request_id", frame->coalesced ? frame->request.request_id
                                                                  : flight.request.request_id},
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

void FramePipeline::CloseFlight(Flight& flight) {
  Unshare(flight);
  flights_.erase(flight.ticket);
}

// No other frame may join it any more.
void FramePipeline::Unshare(Flight& flight) {
  if (std::exchange(flight.shared, false)) shared_.erase(flight.key);
}

int64_t FramePipeline::PatchesOf(const vision::PrepareOptions& prepare) const {
  if (prepare.resize == vision::ResizeMode::kNative) return options_.max_patches;
  const int patch = options_.preparer.config.patch_size;
  return int64_t{prepare.heads_input.width / patch} * (prepare.heads_input.height / patch);
}

}  // namespace emotion::embedding

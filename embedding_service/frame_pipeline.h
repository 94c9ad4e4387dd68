// What happens to one frame: exact lookup, single flight, admission, decode, near lookup, queue,
// encode, store, answer.
//
//   Submit ── hit ──────────────────────────────────────────────▶ answer (no permit, no thread hop)
//      └─ miss ── identical frame in flight? ── join it ────────▶ answered with it
//             └─ permit ── decode (pool) ── near hit ───────────▶ answer to all who joined
//                                 └─ BatchRunner ── store ──────▶ answer to all who joined
//
// The cache may answer later, on a thread of its own: a frame or flight that was answered, left or
// superseded meanwhile is found so, and Stop waits for what was asked.
//
// A small picture that may be near another one is decoded where it is, for waking a thread would
// take as long.
//
// Asynchronous: nothing here blocks its caller. Every submitted frame is answered exactly once, on
// the thread that knew first: the caller's own (also before Submit returns), a decode thread, the
// encoder thread or the timer. A frame whose deadline passes or that is cancelled is answered at
// once, wherever it is; the work it asked for goes on only while another frame waits for it, or
// while it is being encoded (the result is then cached).
//
// The work of a miss is a *flight*, and frames wait for flights. Identical frames (equal content
// key, so equal cache_scope) share one: its deadline is the latest and its priority the highest of
// its waiters, and a failure answers all of them and is not cached. Frames that were resent after a
// crash and frames that may not be stored neither join nor are joined.
//
// Near matching is for frames of a session that are resized to the heads' input: a flight whose
// face is near enough to an encoded one of its lane ends without an encode, and stores nothing. Who
// waits for it from another session, or asked for exact matches only, is not answered by that: the
// flight then goes on for them.
//
// Newest frame wins (common/rpc/newest_wins.h): a live frame that arrives makes the one of its lane
// that waits to be decoded be answered SUPERSEDED, and takes its place in line. One whose image is
// decoded, or being so, stands in line until the newer one is as far or answered; then it is
// SUPERSEDED and its place taken. So one who sends often is neither starved nor favoured. A flight
// that others wait for goes on for them. A live frame that arrives after a newer one is SUPERSEDED
// at once.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/rpc/newest_wins.h"
#include "common/sync/mutex.h"
#include "common/sync/worker_pool.h"
#include "embedding_service/batching/batch_runner.h"
#include "embedding_service/cache/content_key.h"
#include "embedding_service/cache/embedding_cache.h"
#include "embedding_service/deadline_timer.h"
#include "embedding_service/frame_request.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::embedding {

class FramePipeline {
 public:
  struct Options {
    vision::ImagePreparer::Settings preparer = {};  // its budget is the pipeline's own
    int64_t max_patches = 1024;  // what a native size is reckoned as until decoded
    // Threads that decode. One decodes about 500 webcam frames a second; more than the cores takes
    // time from a CPU encoder.
    size_t decode_threads = 2;
    int64_t decode_memory_bytes = int64_t{128} << 20;
    size_t queue_limit = 256;  // as BatchRules::queue_limit
    // Bytes of images, as sent, that may wait to be decoded: 64 of the largest. More are refused.
    size_t undecoded_bytes = size_t{256} << 20;
    bool near_matching = true;  // false: only the very same image is a hit
  };

  // Borrows `cache` and `metrics`; they must outlive this object. Owns the runner, since its
  // encoder thread answers into here.
  FramePipeline(const Options& options, std::unique_ptr<BatchRunner> runner, EmbeddingCache& cache,
                Metrics& metrics);
  ~FramePipeline();  // Stop()

  // Takes a checked frame (frame_check.h). The ticket (never 0) is for Cancel.
  Ticket Submit(FrameRequest request, FrameDone done);

  // The frame is answered CANCELLED unless it was answered already. Unknown tickets are ignored.
  void Cancel(Ticket ticket);

  // From now on frames are refused UNAVAILABLE (DRAINING); those in flight are answered.
  void BeginDrain();

  // Refuses new frames, answers the unanswered UNAVAILABLE, joins the decode pool and the encoder,
  // and waits for the answers of the cache. Idempotent.
  void Stop();

  QueueLoad Load() const { return runner_->Load(); }

  const vision::EncoderInfo& info() const { return runner_->info(); }
  const vision::ImagePreparer& preparer() const { return preparer_; }

  // What is held now: both are 0 when every frame was answered and its work has ended.
  struct Held {
    size_t frames = 0;
    size_t flights = 0;
  };
  Held held() const;

 private:
  struct Frame;
  struct Flight;
  struct DecodeTurn;
  using FramePtr = std::shared_ptr<Frame>;
  using FlightPtr = std::shared_ptr<Flight>;

  static absl::Status DrainingError();
  static absl::Status SupersededError();
  void LookedUp(const FramePtr& frame, CacheFinding found);
  void Miss(const FramePtr& frame);
  struct Entrance {
    bool entered = false;
    FramePtr superseded = nullptr;  // the frame itself where it did not enter, else an older one
  };
  Entrance Enter(const FramePtr& frame) REQUIRES_LOCK(mutex_);
  FramePtr Supersede(Ticket ticket, Frame& newer) REQUIRES_LOCK(mutex_);
  static bool IsPrepared(const Frame& frame);
  bool IsPreparedBefore(const Frame& frame) const REQUIRES_LOCK(mutex_);
  FramePtr Overtake(Frame& newer, Place* place) REQUIRES_LOCK(mutex_);
  std::vector<FramePtr> OvertakeAll(Flight& flight) REQUIRES_LOCK(mutex_);
  bool LeaveFlight(Frame& frame) REQUIRES_LOCK(mutex_);
  void LookUp(const FramePtr& frame);
  bool Join(Frame& frame) REQUIRES_LOCK(mutex_);
  // What a launch leaves to its caller, to see to without the lock.
  struct Launched {
    FramePtr overtaken;  // these two lost their place
    FlightPtr evicted;
    FlightPtr here;  // is decoded on the caller's thread
  };
  absl::Status Launch(Frame& frame, bool here, Launched* launched) REQUIRES_LOCK(mutex_);
  bool DecodesHere(const Frame& frame) const;
  void Decode(const std::shared_ptr<DecodeTurn>& turn);
  void DecodeFlight(const FlightPtr& flight, bool here);
  void LandUnqueued(const FlightPtr& flight, const absl::Status& status);
  void TakePrepared(Flight& flight, vision::PreparedImage prepared);
  void LookNear(const FlightPtr& flight);
  void LookedNear(const FlightPtr& flight, NearFinding found);
  std::vector<FramePtr> TakeNearWaiters(Flight& flight) REQUIRES_LOCK(mutex_);
  void Enqueue(const FlightPtr& flight);
  void Encoded(const FlightPtr& flight, EncodeAnswer answer);
  void Land(const FlightPtr& flight, const FrameResult& result);
  void AnswerWaiters(const Flight& flight, const std::vector<FramePtr>& waiters,
                     const FrameResult& result);
  bool Abandoned(Flight& flight) REQUIRES_LOCK(mutex_);
  void CloseFlight(Flight& flight) REQUIRES_LOCK(mutex_);
  void Unshare(Flight& flight) REQUIRES_LOCK(mutex_);
  void FreeImage(Flight& flight) REQUIRES_LOCK(mutex_);
  void Withdraw(Ticket ticket, const absl::Status& status);
  FramePtr Extract(Ticket ticket) REQUIRES_LOCK(mutex_);
  void Answer(Frame& frame, FrameResult result);
  void AnswerExact(Frame& frame, std::shared_ptr<const CachedEmbedding> value);
  void Refuse(Frame& frame, const absl::Status& status);
  void BeginAsking();
  void EndAsking();
  ContentKey KeyOf(const FrameRequest& request) const;
  NearLane NearLaneOf(const FrameRequest& request) const;
  int64_t PatchesOf(const vision::PrepareOptions& prepare) const;

  const Options options_;
  const std::unique_ptr<BatchRunner> runner_;
  EmbeddingCache& cache_;
  Metrics& metrics_;
  vision::DecodeBudget decode_budget_;
  const vision::ImagePreparer preparer_;
  const vision::ImagePreparer small_preparer_;  // waits for no memory

  // Taken before the runner's lock and the pool's, never after.
  mutable Mutex mutex_;
  std::unordered_map<Ticket, FramePtr> frames_ GUARDED_BY(mutex_);    // the unanswered
  std::unordered_map<Ticket, FlightPtr> flights_ GUARDED_BY(mutex_);  // by their first frame
  std::unordered_map<ContentKey, FlightPtr, ContentKeyHash> shared_ GUARDED_BY(mutex_);
  NewestWins lanes_ GUARDED_BY(mutex_){NewestWins::Rules{}};  // of live frames, by ticket
  Ticket next_ticket_ GUARDED_BY(mutex_) = 1;
  bool draining_ GUARDED_BY(mutex_) = false;
  size_t asking_ GUARDED_BY(mutex_) = 0;  // questions to the cache that it has not answered
  CondVar answered_;
  size_t undecoded_bytes_ GUARDED_BY(mutex_) = 0;
  std::unique_ptr<WorkerPool> decoders_ GUARDED_BY(mutex_);  // null after Stop()

  DeadlineTimer timer_;  // last: its thread stops before what it uses goes
};

}  // namespace emotion::embedding

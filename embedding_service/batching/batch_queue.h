// The rules by which frames wait for the encoders and are put into batches.
//
// **Batches.** Continuous: whenever an encoder is free it takes what waits, up to `max_frames` and
// `max_patches`; only a `wait_to_fill` makes it wait for a fuller batch. A frame that does not fit
// is passed over and is first in the next batch. A frame that would be encoded too late for its
// deadline goes only where a slot is left. A resent frame goes alone.
//
// **Order.** Interactive frames first; inside a priority the subjects take turns (turns.h), so that
// one who sends much makes nobody wait but himself; inside a subject frames go as they came. Batch
// work that waited two seconds joins the interactive frames.
//
// **Admission.** A frame first takes a place (before it is decoded), then is pushed, then leaves by
// Take, Remove, TakeBack, TakeDead or TakeAll, or by giving its place back. It is refused at once
// when the work ahead of it, of the frames that go before *it*, will by the measured pace not leave
// time to encode it before its deadline.
//
// **Bounds.** Places never exceed `queue_limit`, nor their patches `patch_limit`. While others have
// a place a subject may hold a quarter of the queue at most. Who finds the queue full and holds
// less of it than the one who holds most takes the last place of that one.
//
// Pure rules: no thread, no lock, no clock; every call is told what time it is, and costs log time
// in the number of waiting frames. BatchRunner (batch_runner.h) adds the threads. A caller that
// keeps to the protocol gets every pushed ticket back exactly once.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "embedding_service/batching/encoder_board.h"
#include "embedding_service/batching/place.h"
#include "embedding_service/batching/subjects.h"
#include "embedding_service/batching/turns.h"
#include "embedding_service/batching/waiting_frames.h"
#include "embedding_service/batching/work_ahead.h"

namespace emotion::embedding {

struct BatchRules {
  size_t max_frames = 4;       // most frames of one encode
  int64_t max_patches = 1024;  // most patches of one encode; a larger frame still goes, alone
  // Both bound memory, not time: time is bounded by the estimate. A frame of 112x112 has 64
  // patches; a patch takes 4.7 KB, so 256 faces 80 MB and 64 Ki patches 310 MB.
  size_t queue_limit = 256;
  int64_t patch_limit = 64 << 10;
  // Batch work that waited this long counts as interactive.
  std::chrono::milliseconds batch_ages_after{2000};
  // How long a batch that is not full waits for more, counted from when its oldest frame took its
  // place; never past the moment at which it must start to meet a deadline. 0: not at all. More
  // throughput where encodes have a large fixed part, for so much more latency: start at a tenth
  // of an encode's time.
  std::chrono::milliseconds wait_to_fill{0};
};

class BatchQueue {
 public:
  explicit BatchQueue(const BatchRules& rules, size_t encoders = 1);

  // Takes a place for a frame. RESOURCE_EXHAUSTED (QUEUE_FULL; RetryInfo: until the work ahead is
  // done) when there is none for it, or when it would not be encoded by its deadline. An idle
  // encoder takes any frame, so that no slow encode can keep the estimate high for ever.
  [[nodiscard]] absl::StatusOr<Reservation> Reserve(const PlaceRequest& request, TimePoint now);

  // Gives back a place, unused.
  void Release(Place place);

  // The frame waits, in its place. It may be larger or smaller than was reserved; the higher of its
  // own and its place's priority counts. REQUIRES: `place` is not empty.
  void Push(const WaitingFrame& frame, Place place, TimePoint now);

  // False when no such frame waits (it was taken, or evicted).
  bool Remove(Ticket ticket);

  // As Remove, and the place with its turn is the caller's again, for another frame. nullopt where
  // Remove is false.
  std::optional<Place> TakeBack(Ticket ticket);

  // Another caller waits for the same work: a later deadline and the higher priority count. No
  // effect on frames that do not wait.
  void Raise(Ticket ticket, TimePoint deadline, bool interactive, TimePoint now);

  // The frames whose deadline has passed; they wait no more.
  std::vector<Ticket> TakeDead(TimePoint now);

  // The next batch for `encoder`: living frames in order; empty when none lives or a batch that is
  // not full still waits (see NextTake). Until Ended() the encoder counts as busy, for the
  // estimates. REQUIRES: the encoder is not busy; encoder < encoders.
  std::vector<Ticket> Take(size_t encoder, TimePoint now);

  // When Take may give a batch: nullopt when nothing waits; in the past: at once.
  std::optional<TimePoint> NextTake(size_t encoder, TimePoint now) const;

  // The batch of this encoder is through. `measured` is false when it failed or was not done in
  // one piece: it then says nothing of pace.
  void Encoded(size_t encoder, TimePoint now, bool measured);

  // Encodes of another origin, such as a self-test's, that say something of the pace.
  void Learn(std::span<const MeasuredEncode> encodes) { board_.pace().Learn(encodes); }

  // Everything that waits: for the end of the service.
  std::vector<Ticket> TakeAll();

  // Batches of `encoder` hold at most `frames` frames until `until`: it ran out of memory.
  void LimitBatch(size_t encoder, size_t frames, TimePoint until) {
    board_.Limit(encoder, frames, until);
  }

  // For an interactive frame of `subject` with `patches` patches that arrives now.
  WaitEstimate Estimate(const std::string& subject, int64_t patches, TimePoint now) const;

  bool empty() const { return waiting_.empty(); }
  size_t frames() const { return static_cast<size_t>(held_.frames); }  // waiting and reserved

 private:
  using Entry = WaitingFrames::Entry;
  struct Line {
    Turns turns;
    WorkByTurn work;  // of all places of this priority
  };
  class Batch;

  Line& LineOf(Priority priority) { return lines_[static_cast<size_t>(priority)]; }
  const Line& LineOf(Priority priority) const { return lines_[static_cast<size_t>(priority)]; }

  int64_t NextTurn(const std::string& subject, Priority priority) const;
  Work WorkAhead(const std::string& subject, Priority priority, int64_t turn) const;
  absl::Status CheckTime(const PlaceRequest& request, const WaitEstimate& estimate,
                         TimePoint now) const;
  absl::Status CheckShare(const PlaceRequest& request, const WaitEstimate& estimate) const;
  bool HasRoom(int64_t patches, const Work& leaving) const;
  absl::StatusOr<std::optional<Ticket>> MakeRoom(const PlaceRequest& request,
                                                 const WaitEstimate& estimate);
  bool Idle() const { return held_.frames == 0 && board_.AnyFree(); }

  void Hold(const Seat& seat);
  void Free(const Seat& seat);
  void Rise(Seat* seat) const;
  void Enter(const Entry& entry);
  std::optional<Entry> Leave(Ticket ticket);
  void AgeBatchWork(TimePoint now);
  std::chrono::nanoseconds EstimateBatch(size_t encoder, TimePoint now) const;
  void Collect(TimePoint after, TimePoint until, Batch* batch) const;

  const BatchRules rules_;
  std::array<Line, 2> lines_;
  Subjects subjects_;
  WaitingFrames waiting_;
  EncoderBoard board_;
  Work held_;  // all places
  uint64_t next_number_ = 0;
};

}  // namespace emotion::embedding

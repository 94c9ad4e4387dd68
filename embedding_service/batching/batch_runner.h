// The threads around BatchQueue: one for each encoder, which owns it and is never idle while a
// frame waits. All encoders take from one queue.
//
// Every pushed job is answered exactly once, by its `done` on an encoder's thread (or by Stop() on
// the thread that stops), unless Cancel() or TakeBack() took it back or Reserve() said that it was
// evicted. `done` must be quick and must not throw: while it runs its encoder does nothing. A frame
// whose deadline passes while it waits never reaches an encoder; it is answered DEADLINE_EXCEEDED
// when one becomes free, so a caller who promises an answer in time keeps a timer and cancels
// (FramePipeline does).
//
// What goes wrong: an encoder that fails (or throws) answers its whole batch INTERNAL. Out of
// device memory the batch is encoded in halves (of halves), that encoder's batches stay as small
// for a minute and are then tried in full again; an image that does not fit alone is answered
// INTERNAL. A vector with values that fp16 cannot hold is encoded again, alone, in fp32 where there
// is a way to; if that is no better this one frame is answered INTERNAL. All of it is counted as
// incidents.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "embedding_service/batching/batch_queue.h"
#include "embedding_service/batching/checked_encoder.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion {
class Metrics;
}

namespace emotion::embedding {

struct EncodeAnswer {
  absl::StatusOr<std::vector<float>> vector;  // info().dim finite values within fp16's range
  bool cacheable = true;                      // false: the vector came from the fp32 rerun
  std::chrono::nanoseconds queued{0};
  std::chrono::nanoseconds encoded{0};  // of the whole batch
};

struct EncodeJob {
  vision::Patches patches;  // at least one patch
  TimePoint deadline;
  bool interactive = true;
  bool alone = false;
  std::function<void(EncodeAnswer)> done;
};

// What the queue looks like at one moment, to one subject.
struct QueueLoad {
  size_t frames = 0;               // of all subjects, decoding or waiting
  std::chrono::milliseconds wait;  // until the encode of its frame that arrives now begins
  std::chrono::milliseconds
      next_frame_after;  // until its answer: the pace a live sender should keep
};

class BatchRunner {
 public:
  using EncoderFactory = embedding::EncoderFactory;
  using Encoders = std::vector<std::unique_ptr<vision::VisionEncoder>>;

  struct Options {
    BatchRules rules;
    int64_t typical_patches = 64;  // of a frame at the heads' input size, for next_frame_after
    // Encodes of several sizes that were measured already, for the first estimates. Empty: until
    // the first encode everything is admitted.
    std::vector<MeasuredEncode> measured = {};
    // Makes the fp32 encoder when the first non-finite vector turns up (it costs that encode the
    // loading time, and memory from then on). Empty: no rerun.
    EncoderFactory make_fp32 = {};
    // How long an encoder that ran out of memory keeps to the size that fitted.
    std::chrono::milliseconds small_batches_for = std::chrono::seconds(60);
  };

  // `encoders`: at least one, all of one model and precision. Borrows `metrics`, which must outlive
  // this object.
  BatchRunner(Options options, Encoders encoders, Metrics& metrics);
  BatchRunner(Options options, std::unique_ptr<vision::VisionEncoder> encoder, Metrics& metrics);
  ~BatchRunner();  // Stop()

  // A place for a frame: see BatchQueue::Reserve. The place ends in exactly one of Release and
  // Push. The job of a frame that was evicted for it is gone: the caller answers that frame, after
  // dropping its own locks.
  [[nodiscard]] absl::StatusOr<Reservation> Reserve(const PlaceRequest& request);
  void Release(Place place);
  // `done` may run before Push returns. Not OK (UNAVAILABLE, after Stop()): the place is given back
  // and `done` will not be called. REQUIRES: `place` is not empty.
  [[nodiscard]] absl::Status Push(Ticket ticket, EncodeJob job, Place place);

  // True: the job was taken back and will never be answered. False: it is being encoded, or was
  // answered, or evicted, or never pushed.
  bool Cancel(Ticket ticket);

  // False: as Cancel's false.
  bool Waits(Ticket ticket) const;

  // As Cancel, and hands the waiting job's place in line to the caller, for the newer frame of the
  // same sender. nullopt where Cancel is false.
  std::optional<Place> TakeBack(Ticket ticket);

  // See BatchQueue::Raise.
  void Raise(Ticket ticket, TimePoint deadline, bool interactive);

  // To an interactive frame of `subject`; of one that has nothing here unless it is named.
  QueueLoad Load(const std::string& subject = {}) const;

  // Lets the running batches finish, answers what waits UNAVAILABLE (DRAINING), joins. Idempotent.
  void Stop();

  const vision::EncoderInfo& info() const { return info_; }  // of the first encoder
  size_t encoders() const { return encoders_.size(); }

 private:
  struct Taken {
    EncodeJob job;
    TimePoint pushed;
  };
  using Vector = absl::StatusOr<std::vector<float>>;
  using Job = std::unordered_map<Ticket, Taken>::node_type;

  void Run(const std::stop_token& stop, size_t encoder);
  bool WaitForWork(const std::stop_token& stop, size_t encoder, std::vector<Taken>* batch,
                   std::vector<Taken>* dead);
  std::vector<Taken> Withdraw(const std::vector<Ticket>& tickets) REQUIRES_LOCK(mutex_);
  void EncodeBatch(size_t encoder, std::span<Taken> batch);
  void AnswerBatch(std::span<Taken> batch, TimePoint taken, std::vector<Vector> vectors);
  std::vector<Vector> EncodeInPieces(size_t encoder, Images images, bool* in_one_piece);
  void TellOutOfMemory(size_t encoder, size_t frames, size_t from_now_on);
  Vector EncodeInFp32(const vision::Patches& patches);
  void ReportQueue() REQUIRES_LOCK(mutex_);

  const Options options_;
  const Encoders encoders_;  // each used by its thread only
  const vision::EncoderInfo info_;
  Metrics& metrics_;
  Fp32Rerun fp32_;

  mutable Mutex mutex_;
  CondVar work_;
  BatchQueue queue_ GUARDED_BY(mutex_);
  std::unordered_map<Ticket, Taken> jobs_ GUARDED_BY(mutex_);  // of the frames that wait
  bool stopped_ GUARDED_BY(mutex_) = false;

  std::vector<std::jthread> threads_;  // last: they stop before what they use goes
};

}  // namespace emotion::embedding

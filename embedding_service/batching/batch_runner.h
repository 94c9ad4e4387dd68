// The threads around BatchQueue: one encoder thread that owns the VisionEncoder and is never idle
// while a frame waits.
//
// Every pushed job is answered exactly once, by its `done` on the encoder thread (or by Stop() on
// the thread that stops), unless Cancel() took it back. `done` must be quick: while it runs the
// encoder does nothing. A frame whose deadline passes while it waits never reaches the encoder; it
// is answered DEADLINE_EXCEEDED when the encoder becomes free, so a caller who promises an answer
// in time keeps a timer and cancels (FramePipeline does).
//
// What goes wrong: an encoder that fails (or throws) answers its whole batch INTERNAL. Out of
// device memory halves the batch, tries again, and keeps batches small for a minute. A vector with
// values that fp16 cannot hold is encoded again, alone, in fp32 where there is a way to; if that is
// no better this one frame is answered INTERNAL. All of it is counted as incidents.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "embedding_service/batching/batch_queue.h"
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

// What the queue looks like at one moment.
struct QueueLoad {
  size_t frames = 0;               // decoding or waiting
  std::chrono::milliseconds wait;  // until the encode of a frame that arrives now begins
  std::chrono::milliseconds
      next_frame_after;  // until its answer: the pace a live sender should keep
};

class BatchRunner {
 public:
  using EncoderFactory = std::function<absl::StatusOr<std::unique_ptr<vision::VisionEncoder>>()>;

  struct Options {
    BatchRules rules;
    int64_t typical_patches = 64;  // of a frame at the heads' input size, for next_frame_after
    // An encode that was measured already, so that the first estimates are not empty.
    struct {
      int64_t patches = 0;  // 0: none was
      std::chrono::nanoseconds duration{0};
    } measured = {};
    // Makes the fp32 encoder when the first non-finite vector turns up (it costs that encode the
    // loading time, and memory from then on). Empty: no rerun.
    EncoderFactory make_fp32 = {};
  };

  // Borrows `metrics`, which must outlive this object.
  BatchRunner(Options options, std::unique_ptr<vision::VisionEncoder> encoder, Metrics& metrics);
  ~BatchRunner();  // Stop()

  // A place for a frame: see BatchQueue::Reserve. The place ends in exactly one of Release and
  // Push. The job of a frame that was evicted for it is gone: the caller answers that frame, after
  // dropping its own locks.
  [[nodiscard]] absl::StatusOr<Reservation> Reserve(const PlaceRequest& request);
  void Release(Place place);
  // `done` may run before Push returns. Not OK (UNAVAILABLE, after Stop()): the place is given back
  // and `done` will not be called.
  [[nodiscard]] absl::Status Push(Ticket ticket, EncodeJob job, Place place);

  // True: the job was taken back and will never be answered. False: it is being encoded, or was
  // answered, or never pushed.
  bool Cancel(Ticket ticket);

  // As Cancel, and hands the waiting job's place in line to the caller, for the newer frame of the
  // same sender. nullopt where Cancel is false.
  std::optional<Place> TakeBack(Ticket ticket);

  // See BatchQueue::Raise.
  void Raise(Ticket ticket, TimePoint deadline, bool interactive);

  QueueLoad Load() const;

  // Lets the running batch finish, answers what waits UNAVAILABLE (DRAINING), joins. Idempotent.
  void Stop();

  const vision::EncoderInfo& info() const { return info_; }

 private:
  struct Taken {
    EncodeJob job;
    TimePoint pushed;
  };
  using Job = std::unordered_map<Ticket, Taken>::node_type;

  void Run(std::stop_token stop);
  bool WaitForWork(const std::stop_token& stop, std::vector<Taken>* batch,
                   std::vector<Taken>* dead);
  std::vector<Taken> Withdraw(const std::vector<Ticket>& tickets) REQUIRES_LOCK(mutex_);
  void EncodeBatch(std::span<Taken> batch, TimePoint taken);
  void AnswerBatch(std::span<Taken> batch, TimePoint taken,
                   std::vector<std::vector<float>> vectors);
  absl::StatusOr<std::vector<std::vector<float>>> EncodeOrHalve(std::span<Taken> batch);
  absl::StatusOr<std::vector<float>> EncodeInFp32(const vision::Patches& patches);
  void ReportQueue() REQUIRES_LOCK(mutex_);

  const Options options_;
  const std::unique_ptr<vision::VisionEncoder> encoder_;  // used by thread_ only
  const vision::EncoderInfo info_;
  Metrics& metrics_;
  std::unique_ptr<vision::VisionEncoder> fp32_;  // used by thread_ only; made when first needed

  mutable Mutex mutex_;
  CondVar work_;
  BatchQueue queue_ GUARDED_BY(mutex_);
  std::unordered_map<Ticket, Taken> jobs_ GUARDED_BY(mutex_);  // of the frames that wait
  bool stopped_ GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: stops before what it uses goes
};

}  // namespace emotion::embedding

// The rules by which frames wait for the encoder and are put into batches.
//
// Continuous batching: there is no waiting time for a batch to fill. Whenever the encoder is free
// it takes what waits, oldest first, up to `max_frames` and `max_patches`. A frame first reserves
// its place (before it is decoded), then is pushed, then is taken by Take() or leaves by Remove()
// or TakeDead(). Reserved and waiting frames together never exceed `queue_limit`.
//
// Pure rules: no thread, no lock, no clock; every call is told what time it is. BatchRunner
// (batch_runner.h) adds the threads. A caller that keeps to the protocol gets every pushed ticket
// back exactly once, from exactly one of Take, TakeDead, Remove and TakeAll.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "embedding_service/batching/encode_pace.h"
#include "embedding_service/batching/place.h"

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
};

struct WaitingFrame {
  Ticket ticket = 0;
  int64_t patches = 0;
  TimePoint deadline;
  bool interactive = true;  // false: goes after all interactive frames until it aged
  bool alone = false;       // encoded in a batch of one: it was in flight when a replica died
};

class BatchQueue {
 public:
  explicit BatchQueue(const BatchRules& rules) : rules_(rules) {}

  // Takes a place for a frame. RESOURCE_EXHAUSTED (QUEUE_FULL, with
  // RetryInfo) when all places are taken, or when by the measured pace the frame would not be
  // encoded by its deadline. An idle encoder takes any frame, so that one slow encode cannot keep
  // the estimate high for ever.
  [[nodiscard]] absl::StatusOr<Reservation> Reserve(const PlaceRequest& request, TimePoint now);

  // Gives back a place, unused.
  void Release(Place place);

  // The frame waits, in its place. It may be larger or smaller than was reserved.
  void Push(const WaitingFrame& frame, Place place, TimePoint now);

  // False when no such frame waits (it was taken).
  bool Remove(Ticket ticket);

  // As Remove, and the place is the caller's again, for another frame. nullopt where Remove is
  // false.
  std::optional<Place> TakeBack(Ticket ticket);

  // Another caller waits for the same work: a later deadline and the higher priority count. No
  // effect on frames that do not wait.
  void Raise(Ticket ticket, TimePoint deadline, bool interactive);

  // The frames whose deadline has passed; they wait no more.
  std::vector<Ticket> TakeDead(TimePoint now);

  // The next batch: living frames, interactive and aged ones first, each kind by arrival; empty
  // when none lives. A frame that does not fit is passed over and is first in the next batch. Until
  // Encoded() the batch counts as running, for the estimates. REQUIRES: no batch is running.
  std::vector<Ticket> Take(TimePoint now);

  // The running batch is through. `measured` is false when it failed: it then says nothing of pace.
  void Encoded(TimePoint now, bool measured);

  // An encode of another origin, such as a self-test, that says something of the pace.
  void Measured(int64_t patches, std::chrono::nanoseconds duration) {
    pace_.Record(patches, duration);
  }

  // Everything that waits: for the end of the service.
  std::vector<Ticket> TakeAll();

  // Batches hold at most `frames` frames until `until`: after the device ran out of memory.
  void LimitBatch(size_t frames, TimePoint until);

  // The earliest deadline of a waiting frame.
  std::optional<TimePoint> NextDeadline() const;

  // How long a frame that arrives now waits until its encode begins.
  std::chrono::nanoseconds EstimateWait(TimePoint now) const;

  // As EstimateWait, until the encode of a frame of `patches` patches has ended.
  std::chrono::nanoseconds EstimateAnswer(int64_t patches, TimePoint now) const;

  bool empty() const { return waiting_.empty(); }
  size_t frames() const { return waiting_.size() + reserved_frames_; }  // waiting and reserved

 private:
  struct Entry {
    WaitingFrame frame;
    TimePoint arrived;
  };
  struct Running {
    TimePoint since;
    int64_t patches = 0;
  };
  class Batch;

  bool Urgent(const Entry& entry, TimePoint now) const;
  void Collect(bool urgent, TimePoint now, Batch* batch);
  bool Idle() const { return frames() == 0 && !running_; }
  size_t MaxFrames(TimePoint now) const;

  const BatchRules rules_;
  EncodePace pace_;
  std::vector<Entry> waiting_;  // by arrival
  int64_t waiting_patches_ = 0;
  size_t reserved_frames_ = 0;
  int64_t reserved_patches_ = 0;
  std::optional<Running> running_;
  size_t limited_frames_ = 0;
  TimePoint limited_until_{};
};

}  // namespace emotion::embedding

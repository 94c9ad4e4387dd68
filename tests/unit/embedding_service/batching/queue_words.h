// The words in which the rules of BatchQueue are tested: frames arrive, time passes, the encoder
// takes.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "embedding_service/batching/batch_queue.h"

namespace emotion::embedding::testing {

using std::chrono::milliseconds;
using Tickets = std::vector<Ticket>;

inline constexpr int64_t kFace = 64;  // patches of a 112x112 image

class Queue {
 public:
  explicit Queue(BatchRules rules = {.max_frames = 4, .max_patches = 1024, .queue_limit = 8},
                 size_t encoders = 1)
      : queue_(rules, encoders) {}

  struct Frame {
    int64_t patches = kFace;
    milliseconds timeout{10'000};
    bool interactive = true;
    bool alone = false;
    std::string of = {};  // the subject
  };

  // Reserves and pushes; the ticket is `ticket`. Whom it cost his place is in evicted().
  absl::Status Submit(Ticket ticket, const Frame& frame) {
    auto reserved = Reserve(frame);
    if (reserved.ok()) Push(ticket, frame, std::move(reserved->place));
    return reserved.status();
  }
  absl::Status Submit(Ticket ticket) { return Submit(ticket, Frame{}); }
  // So many frames of one subject, all taken in.
  void Fill(const Tickets& tickets, const Frame& frame) {
    for (const Ticket ticket : tickets) REQUIRE(Submit(ticket, frame).ok());
  }
  absl::StatusOr<Reservation> Reserve(const Frame& frame) {
    auto reserved = queue_.Reserve({.patches = frame.patches,
                                    .deadline = now_ + frame.timeout,
                                    .interactive = frame.interactive,
                                    .subject = frame.of},
                                   now_);
    if (reserved.ok() && reserved->evicted) evicted_.push_back(*reserved->evicted);
    return reserved;
  }
  void Push(Ticket ticket, const Frame& frame, Place place) {
    queue_.Push({.ticket = ticket,
                 .patches = frame.patches,
                 .deadline = now_ + frame.timeout,
                 .interactive = frame.interactive,
                 .alone = frame.alone},
                std::move(place), now_);
  }
  void Advance(milliseconds time) { now_ += time; }
  Tickets Take(size_t encoder = 0) { return queue_.Take(encoder, now_); }
  void Encoded(size_t encoder = 0) { queue_.Encoded(encoder, now_, true); }
  Tickets TakeDead() { return queue_.TakeDead(now_); }
  // Take and Encoded.
  Tickets Encode(milliseconds time = milliseconds(0)) {
    Tickets taken = Take();
    Advance(time);
    Encoded();
    return taken;
  }
  void Raise(Ticket ticket, milliseconds timeout, bool interactive) {
    queue_.Raise(ticket, now_ + timeout, interactive, now_);
  }
  // An encode of `patches` patches takes this long, and of others in proportion.
  void KnowPace(int64_t patches, milliseconds time) {
    const MeasuredEncode measured{patches, time};
    queue_.Learn({&measured, 1});
  }
  milliseconds Wait(const std::string& subject = {}) const {
    return std::chrono::round<milliseconds>(queue_.Estimate(subject, kFace, now_).wait);
  }
  milliseconds Answer(int64_t patches, const std::string& subject = {}) const {
    return std::chrono::round<milliseconds>(queue_.Estimate(subject, patches, now_).answer);
  }
  const Tickets& evicted() const { return evicted_; }
  BatchQueue& rules() { return queue_; }
  TimePoint now() const { return now_; }

 private:
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  BatchQueue queue_;
  Tickets evicted_;
};

// A random number that is the same on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % bound;
  }

 private:
  uint64_t state_;
};

}  // namespace emotion::embedding::testing

#include "embedding_service/batching/batch_queue.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"

namespace emotion::embedding {
namespace {

std::chrono::milliseconds RoundUp(std::chrono::nanoseconds duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration);
}

}  // namespace

// What Take() has chosen so far.
class BatchQueue::Batch {
 public:
  Batch(size_t max_frames, int64_t max_patches)
      : max_frames_(max_frames), max_patches_(max_patches) {}

  bool Add(const WaitingFrame& frame) {
    if (!Fits(frame)) return false;
    tickets_.push_back(frame.ticket);
    patches_ += frame.patches;
    alone_ = frame.alone;
    return true;
  }

  bool empty() const { return tickets_.empty(); }
  int64_t patches() const { return patches_; }
  std::vector<Ticket> Tickets() && { return std::move(tickets_); }

 private:
  bool Fits(const WaitingFrame& frame) const {
    if (tickets_.empty()) return true;  // the first always goes, or a large one would never
    if (alone_ || frame.alone) return false;
    return tickets_.size() < max_frames_ && patches_ + frame.patches <= max_patches_;
  }

  const size_t max_frames_;
  const int64_t max_patches_;
  std::vector<Ticket> tickets_;
  int64_t patches_ = 0;
  bool alone_ = false;
};

absl::StatusOr<Reservation> BatchQueue::Reserve(const PlaceRequest& request, TimePoint now) {
  const int64_t patches = request.patches;
  const TimePoint deadline = request.deadline;
  const auto wait = EstimateWait(now);
  if (frames() >= rules_.queue_limit) {
    return WithRetry(
        Error(Reason::kQueueFull, fmt::format("the queue holds its {} frames", rules_.queue_limit)),
        RoundUp(wait));
  }
  if (frames() > 0 && waiting_patches_ + reserved_patches_ + patches > rules_.patch_limit) {
    return WithRetry(Error(Reason::kQueueFull,
                           fmt::format("the queue holds its {} patches", rules_.patch_limit)),
                     RoundUp(wait));
  }
  const auto answer = EstimateAnswer(patches, now);
  if (!Idle() && now + answer > deadline) {
    return WithRetry(Error(Reason::kQueueFull,
                           fmt::format("an answer would take about {} ms, the frame has {} ms left",
                                       RoundUp(answer).count(),
                                       std::max<int64_t>(0, RoundUp(deadline - now).count()))),
                     RoundUp(wait));
  }
  ++reserved_frames_;
  reserved_patches_ += patches;
  return Reservation{.place = Place(patches)};
}

void BatchQueue::Release(Place place) {
  if (!place) return;
  --reserved_frames_;
  reserved_patches_ -= place.patches_;
}

void BatchQueue::Push(const WaitingFrame& frame, Place place, TimePoint now) {
  Release(std::move(place));
  waiting_.push_back({frame, now});
  waiting_patches_ += frame.patches;
}

bool BatchQueue::Remove(Ticket ticket) {
  const auto entry = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Entry& e) { return e.frame.ticket == ticket; });
  if (entry == waiting_.end()) return false;
  waiting_patches_ -= entry->frame.patches;
  waiting_.erase(entry);
  return true;
}

std::optional<Place> BatchQueue::TakeBack(Ticket ticket) {
  const auto entry = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Entry& e) { return e.frame.ticket == ticket; });
  if (entry == waiting_.end()) return std::nullopt;
  const int64_t patches = entry->frame.patches;
  Remove(ticket);
  ++reserved_frames_;
  reserved_patches_ += patches;
  return Place(patches);
}

void BatchQueue::Raise(Ticket ticket, TimePoint deadline, bool interactive) {
  for (Entry& entry : waiting_) {
    if (entry.frame.ticket != ticket) continue;
    entry.frame.deadline = std::max(entry.frame.deadline, deadline);
    entry.frame.interactive |= interactive;
  }
}

std::vector<Ticket> BatchQueue::TakeDead(TimePoint now) {
  std::vector<Ticket> dead;
  std::erase_if(waiting_, [&](const Entry& entry) {
    if (entry.frame.deadline > now) return false;
    dead.push_back(entry.frame.ticket);
    waiting_patches_ -= entry.frame.patches;
    return true;
  });
  return dead;
}

std::vector<Ticket> BatchQueue::Take(TimePoint now) {
  Batch batch(MaxFrames(now), rules_.max_patches);
  Collect(/*urgent=*/true, now, &batch);
  Collect(/*urgent=*/false, now, &batch);
  if (!batch.empty()) running_ = Running{now, batch.patches()};
  waiting_patches_ -= batch.patches();
  return std::move(batch).Tickets();
}

void BatchQueue::Collect(bool urgent, TimePoint now, Batch* batch) {
  std::erase_if(waiting_, [&](const Entry& entry) {
    return Urgent(entry, now) == urgent && entry.frame.deadline > now && batch->Add(entry.frame);
  });
}

bool BatchQueue::Urgent(const Entry& entry, TimePoint now) const {
  return entry.frame.interactive || now - entry.arrived >= rules_.batch_ages_after;
}

void BatchQueue::Encoded(TimePoint now, bool measured) {
  if (running_ && measured) pace_.Record(running_->patches, now - running_->since);
  running_.reset();
}

std::vector<Ticket> BatchQueue::TakeAll() {
  std::vector<Ticket> all;
  for (const Entry& entry : waiting_) all.push_back(entry.frame.ticket);
  waiting_.clear();
  waiting_patches_ = 0;
  return all;
}

void BatchQueue::LimitBatch(size_t frames, TimePoint until) {
  limited_frames_ = std::max<size_t>(frames, 1);
  limited_until_ = until;
}

size_t BatchQueue::MaxFrames(TimePoint now) const {
  return now < limited_until_ ? std::min(limited_frames_, rules_.max_frames) : rules_.max_frames;
}

std::optional<TimePoint> BatchQueue::NextDeadline() const {
  std::optional<TimePoint> next;
  for (const Entry& entry : waiting_) {
    if (!next || entry.frame.deadline < *next) next = entry.frame.deadline;
  }
  return next;
}

std::chrono::nanoseconds BatchQueue::EstimateWait(TimePoint now) const {
  std::chrono::nanoseconds wait = pace_.Estimate(waiting_patches_ + reserved_patches_);
  if (running_) {
    const auto left = pace_.Estimate(running_->patches) - (now - running_->since);
    wait += std::max<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0));
  }
  return wait;
}

std::chrono::nanoseconds BatchQueue::EstimateAnswer(int64_t patches, TimePoint now) const {
  return EstimateWait(now) + pace_.Estimate(patches);
}

}  // namespace emotion::embedding

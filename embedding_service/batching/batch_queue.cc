#include "embedding_service/batching/batch_queue.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"

namespace emotion::embedding {
namespace {

constexpr double kLargestPart = 0.25;  // of the queue, while others have a place

// However small, a frame takes one of the batch's slots: it costs its subject a face's turn.
constexpr int64_t kLeastTurn = 64;

// So many frames that do not fit are passed over in search of some that do.
constexpr size_t kLookFurther = 64;

std::chrono::milliseconds RoundUp(std::chrono::nanoseconds duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration);
}

absl::Status Refused(const std::string& why, const WaitEstimate& estimate) {
  return WithRetry(Error(Reason::kQueueFull, why), RoundUp(estimate.ahead));
}

Priority PriorityOf(bool interactive) {
  return interactive ? Priority::kInteractive : Priority::kBatch;
}

int64_t TurnWork(const Seat& seat) { return std::max(seat.patches, kLeastTurn); }

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

  bool full() const { return alone_ || tickets_.size() >= max_frames_ || patches_ >= max_patches_; }
  int64_t patches() const { return patches_; }
  const std::vector<Ticket>& tickets() const { return tickets_; }

 private:
  bool Fits(const WaitingFrame& frame) const {
    if (tickets_.empty()) return true;  // the first always goes, or a large one would never
    return !full() && !frame.alone && patches_ + frame.patches <= max_patches_;
  }

  const size_t max_frames_;
  const int64_t max_patches_;
  std::vector<Ticket> tickets_;
  int64_t patches_ = 0;
  bool alone_ = false;
};

BatchQueue::BatchQueue(const BatchRules& rules, size_t encoders)
    : rules_(rules),
      subjects_(rules.queue_limit, rules.patch_limit),
      board_(encoders, rules.max_frames, rules.max_patches) {}

// ---- Admission

absl::StatusOr<Reservation> BatchQueue::Reserve(const PlaceRequest& request, TimePoint now) {
  Seat seat{.priority = PriorityOf(request.interactive), .since = now, .patches = request.patches};
  seat.turn = NextTurn(request.subject, seat.priority);
  const WaitEstimate estimate =
      board_.Estimate(WorkAhead(request.subject, seat.priority, seat.turn), request.patches, now);
  if (absl::Status late = CheckTime(request, estimate, now); !late.ok()) return late;
  if (absl::Status over = CheckShare(request, estimate); !over.ok()) return over;
  const auto evicted = MakeRoom(request, estimate);
  if (!evicted.ok()) return evicted.status();

  seat.subject = &subjects_.FindOrAdd(request.subject);
  seat.number = next_number_++;
  Hold(seat);
  return Reservation{.place = Place(seat), .evicted = *evicted};
}

absl::Status BatchQueue::CheckTime(const PlaceRequest& request, const WaitEstimate& estimate,
                                   TimePoint now) const {
  if (Idle() || now + estimate.answer <= request.deadline) return absl::OkStatus();
  const int64_t left = std::max<int64_t>(0, RoundUp(request.deadline - now).count());
  return Refused(fmt::format("an answer would take about {} ms, the frame has {} ms left",
                             RoundUp(estimate.answer).count(), left),
                 estimate);
}

absl::Status BatchQueue::CheckShare(const PlaceRequest& request,
                                    const WaitEstimate& estimate) const {
  const Subject* subject = subjects_.Find(request.subject);
  if (subject == nullptr || subject->holds.frames == held_.frames) return absl::OkStatus();
  if (subjects_.Part(subject->holds + Work{1, request.patches}) <= kLargestPart) {
    return absl::OkStatus();
  }
  return Refused(
      fmt::format("this sender has {} frames of {} patches in the queue, while others wait",
                  subject->holds.frames, subject->holds.patches),
      estimate);
}

bool BatchQueue::HasRoom(int64_t patches, const Work& leaving) const {
  const Work left = held_ - leaving;
  if (left.frames >= static_cast<int64_t>(rules_.queue_limit)) return false;
  return left.frames == 0 || left.patches + patches <= rules_.patch_limit;
}

// Whom it cost his place, if anyone.
absl::StatusOr<std::optional<Ticket>> BatchQueue::MakeRoom(const PlaceRequest& request,
                                                           const WaitEstimate& estimate) {
  if (HasRoom(request.patches, {})) return std::nullopt;
  const Subject* own = subjects_.Find(request.subject);
  const Work wanted = (own != nullptr ? own->holds : Work{}) + Work{1, request.patches};
  const Subject* largest = subjects_.Largest();
  if (largest != nullptr && largest != own &&
      subjects_.Part(largest->holds) > subjects_.Part(wanted)) {
    const Ticket last = largest->waiting.rbegin()->ticket;
    if (HasRoom(request.patches, {1, waiting_.At(last).seat.patches})) {
      Remove(last);
      return last;
    }
  }
  return Refused(fmt::format("the queue holds {} frames of {} patches; it takes {} and {}",
                             held_.frames, held_.patches, rules_.queue_limit, rules_.patch_limit),
                 estimate);
}

// ---- Order and estimates

int64_t BatchQueue::NextTurn(const std::string& subject, Priority priority) const {
  const Turns& turns = LineOf(priority).turns;
  const Subject* found = subjects_.Find(subject);
  if (found == nullptr) return turns.Next(subject, 0);
  const int64_t turn = turns.Next(subject, found->turn_work[static_cast<size_t>(priority)]);
  // Where earlier frames left without being encoded, the ones behind kept their turns: a newcomer
  // does not overtake them.
  return std::max(turn, found->LastTurn(priority));
}

// What is in line before this turn; or, where that is more, what will have been when the turn
// comes: whoever else has a place here goes on sending, and gets as many turns until then.
Work BatchQueue::WorkAhead(const std::string& subject, Priority priority, int64_t turn) const {
  const Line& line = LineOf(priority);
  const Subject* found = subjects_.Find(subject);
  const int64_t own = found == nullptr ? 0 : found->turn_work[static_cast<size_t>(priority)];
  const auto others = static_cast<int64_t>(subjects_.size()) - (found == nullptr ? 0 : 1);
  const int64_t turns = own + (turn - line.turns.clock()) * others;
  Work ahead = line.work.UpTo(turn);
  ahead.frames = std::max(ahead.frames, turns / kLeastTurn);
  ahead.patches = std::max(ahead.patches, turns);
  return priority == Priority::kInteractive ? ahead
                                            : ahead + LineOf(Priority::kInteractive).work.total();
}

WaitEstimate BatchQueue::Estimate(const std::string& subject, int64_t patches,
                                  TimePoint now) const {
  const int64_t turn = NextTurn(subject, Priority::kInteractive);
  return board_.Estimate(WorkAhead(subject, Priority::kInteractive, turn), patches, now);
}

// ---- Places

void BatchQueue::Hold(const Seat& seat) {
  const Work work{1, seat.patches};
  held_ += work;
  LineOf(seat.priority).work.Add(seat.turn, work);
  seat.subject->holds += work;
  seat.subject->turn_work[static_cast<size_t>(seat.priority)] += TurnWork(seat);
  subjects_.Changed(*seat.subject);
}

void BatchQueue::Free(const Seat& seat) {
  const Work work{1, seat.patches};
  held_ -= work;
  LineOf(seat.priority).work.Remove(seat.turn, work);
  seat.subject->holds -= work;
  seat.subject->turn_work[static_cast<size_t>(seat.priority)] -= TurnWork(seat);
  subjects_.Changed(*seat.subject);
}

// To the interactive frames, where it takes its turn as if it came now.
void BatchQueue::Rise(Seat* seat) const {
  if (seat->priority == Priority::kInteractive) return;
  seat->priority = Priority::kInteractive;
  seat->turn = NextTurn(seat->subject->name, Priority::kInteractive);
}

void BatchQueue::Enter(const Entry& entry) {
  waiting_.Add(entry);
  entry.seat.subject->waiting.insert(entry.order());
  subjects_.Changed(*entry.seat.subject);
}

// It waits no more, and still has its place.
std::optional<BatchQueue::Entry> BatchQueue::Leave(Ticket ticket) {
  std::optional<Entry> entry = waiting_.Remove(ticket);
  if (entry) {
    entry->seat.subject->waiting.erase(entry->order());
    subjects_.Changed(*entry->seat.subject);
  }
  return entry;
}

void BatchQueue::Release(Place place) {
  if (place) Free(place.seat_);
}

void BatchQueue::Push(const WaitingFrame& frame, Place place, TimePoint now) {
  const Seat reserved = std::exchange(place.seat_, Seat{});
  Seat seat = reserved;
  seat.patches = frame.patches;
  const bool aged = now - seat.since >= rules_.batch_ages_after;
  if (frame.interactive || aged) Rise(&seat);
  // Held before the other is freed: a subject without any place would be forgotten.
  Hold(seat);
  Free(reserved);
  Enter({frame, seat});
}

bool BatchQueue::Remove(Ticket ticket) {
  const std::optional<Entry> entry = Leave(ticket);
  if (entry) Free(entry->seat);
  return entry.has_value();
}

std::optional<Place> BatchQueue::TakeBack(Ticket ticket) {
  const std::optional<Entry> entry = Leave(ticket);
  if (!entry) return std::nullopt;
  return Place(entry->seat);
}

void BatchQueue::Raise(Ticket ticket, TimePoint deadline, bool interactive, TimePoint now) {
  std::optional<Entry> entry = Leave(ticket);
  if (!entry) return;
  entry->frame.deadline = std::max(entry->frame.deadline, deadline);
  entry->frame.interactive |= interactive;
  Push(entry->frame, Place(entry->seat), now);
}

std::vector<Ticket> BatchQueue::TakeDead(TimePoint now) {
  std::vector<Ticket> dead = waiting_.DeadAt(now);
  for (const Ticket ticket : dead) Remove(ticket);
  return dead;
}

std::vector<Ticket> BatchQueue::TakeAll() {
  std::vector<Ticket> all;
  for (const Order& order : waiting_.line()) all.push_back(order.ticket);
  for (const Ticket ticket : all) Remove(ticket);
  return all;
}

// ---- Batches

void BatchQueue::AgeBatchWork(TimePoint now) {
  while (const Entry* oldest = waiting_.Oldest(Priority::kBatch)) {
    if (now - oldest->seat.since < rules_.batch_ages_after) return;
    const std::optional<Entry> aged = Leave(oldest->frame.ticket);
    Push(aged->frame, Place(aged->seat), now);
  }
}

std::optional<TimePoint> BatchQueue::NextTake(size_t encoder, TimePoint now) const {
  if (waiting_.empty()) return std::nullopt;
  const bool full = waiting_.size() >= board_.MaxFrames(encoder, now) ||
                    waiting_.patches() >= rules_.max_patches ||
                    waiting_.At(waiting_.line().begin()->ticket).frame.alone;
  if (full || rules_.wait_to_fill.count() == 0) return TimePoint::min();
  TimePoint oldest = TimePoint::max();
  for (const Priority priority : {Priority::kInteractive, Priority::kBatch}) {
    if (const Entry* entry = waiting_.Oldest(priority))
      oldest = std::min(oldest, entry->seat.since);
  }
  const TimePoint last_chance =
      *waiting_.NextDeadline() - board_.pace().Estimate(waiting_.patches());
  return std::min(oldest + rules_.wait_to_fill, last_chance);
}

std::chrono::nanoseconds BatchQueue::EstimateBatch(size_t encoder, TimePoint now) const {
  const auto frames = static_cast<int64_t>(waiting_.size());
  const auto most = static_cast<int64_t>(board_.MaxFrames(encoder, now));
  const int64_t patches = waiting_.patches() / frames * std::min(frames, most);
  return board_.pace().Estimate(std::min(patches, rules_.max_patches));
}

// Of the frames whose deadline lies after `after` and not after `until`.
void BatchQueue::Collect(TimePoint after, TimePoint until, Batch* batch) const {
  size_t passed_over = 0;
  for (const Order& order : waiting_.line()) {
    if (batch->full() || passed_over > kLookFurther) return;
    const WaitingFrame& frame = waiting_.At(order.ticket).frame;
    const bool asked_for = after < frame.deadline && frame.deadline <= until;
    if (!asked_for || !batch->Add(frame)) ++passed_over;
  }
}

std::vector<Ticket> BatchQueue::Take(size_t encoder, TimePoint now) {
  const std::optional<TimePoint> when = NextTake(encoder, now);
  if (!when || now < *when) return {};
  AgeBatchWork(now);
  Batch batch(board_.MaxFrames(encoder, now), rules_.max_patches);
  // A frame that will be late takes nobody's slot. It may have one that is left: the estimate may
  // be wrong, and only an encode can tell.
  const TimePoint done = now + EstimateBatch(encoder, now);
  Collect(done, TimePoint::max(), &batch);
  Collect(now, done, &batch);
  if (batch.tickets().empty()) return {};
  for (const Ticket ticket : batch.tickets()) {
    const std::optional<Entry> taken = Leave(ticket);
    LineOf(taken->seat.priority)
        .turns.Serve(taken->seat.subject->name, taken->seat.turn, TurnWork(taken->seat));
    Free(taken->seat);
  }
  board_.Began(encoder, batch.patches(), now);
  return batch.tickets();
}

void BatchQueue::Encoded(size_t encoder, TimePoint now, bool measured) {
  board_.Ended(encoder, now, measured);
  if (held_.frames > 0 || !board_.AllFree()) return;
  for (Line& line : lines_) line.turns.Rest();
}

}  // namespace emotion::embedding

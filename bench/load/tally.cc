#include "bench/load/tally.h"

#include <algorithm>

namespace emotion::bench {
namespace {

constexpr double kNormal = 0.99;

}  // namespace

void Slice::Merge(const Slice& other) {
  offered += other.offered;
  sent += other.sent;
  in_time += other.in_time;
  late += other.late;
  exact += other.exact;
  near += other.near;
  superseded += other.superseded;
  refused += other.refused;
  failed += other.failed;
  withdrawn += other.withdrawn;
  held_back += other.held_back;
  latency.Merge(other.latency);
  cached.Merge(other.cached);
  encoded.Merge(other.encoded);
  age.Merge(other.age);
  refusal.Merge(other.refusal);
  send_lag.Merge(other.send_lag);
  for (const auto& [reason, count] : other.reasons) reasons[reason] += count;
}

Tally::Tally(const PhasePlan& plan, size_t sessions, size_t heavy,
             std::chrono::nanoseconds deadline)
    : plan_(plan),
      heavy_(heavy),
      deadline_(deadline),
      slices_(plan.phases().size() * 2),
      sessions_(sessions),
      seconds_(static_cast<size_t>(std::chrono::ceil<std::chrono::seconds>(plan.total()).count()) +
               1) {}

void Tally::HeldBack(const FrameRecord& frame) { ++SliceOf(frame).held_back; }

void Tally::Offered(const FrameRecord& frame) {
  ++SliceOf(frame).offered;
  ++SecondOf(frame).offered;
  Session& session = sessions_[frame.session];
  if (++session.offered == 1) session.last = frame.time.due;
}

void Tally::Sent(const FrameRecord& frame, Offset now) {
  Slice& slice = SliceOf(frame);
  ++slice.sent;
  slice.send_lag.Add(now - frame.time.due);
}

void Tally::Answered(const FrameRecord& frame, const Answer& answer, Offset now) {
  Slice& slice = SliceOf(frame);
  if (!answer.reason.empty()) ++slice.reasons[answer.reason];
  switch (answer.verdict) {
    case Verdict::kPrediction:
      Predicted(frame, answer.cached, now);
      break;
    case Verdict::kSuperseded:
      ++slice.superseded;
      ++SecondOf(frame).superseded;
      break;
    case Verdict::kRefused:
      ++slice.refused;
      ++SecondOf(frame).refused;
      slice.refusal.Add(now - frame.time.due);
      break;
    case Verdict::kFailed:
      ++slice.failed;
      break;
  }
}

void Tally::Predicted(const FrameRecord& frame, Cached cached, Offset now) {
  Slice& slice = SliceOf(frame);
  if (cached == Cached::kExact) ++slice.exact;
  if (cached == Cached::kNear) ++slice.near;
  Second& second = SecondOf(frame);
  const Offset latency = now - frame.time.due;
  const bool in_time = latency <= deadline_;
  ++(in_time ? slice.in_time : slice.late);
  slice.latency.Add(latency);
  (cached == Cached::kNo ? slice.encoded : slice.cached).Add(latency);
  slice.age.Add(now - frame.time.capture);
  if (in_time) ++second.in_time;
  second.latency.Add(latency);
  Session& session = sessions_[frame.session];
  ++session.predictions;
  session.longest_gap = std::max(session.longest_gap, now - session.last);
  session.last = now;
}

void Tally::Withdrawn(const FrameRecord& frame) { ++SliceOf(frame).withdrawn; }

Slice Tally::Sum(size_t phase, Class of) const {
  Slice sum;
  for (size_t i = 0; i < slices_.size(); ++i) {
    if (phase < plan_.phases().size() && i / 2 != phase) continue;
    const Class own = i % 2 == 0 ? Class::kHeavy : Class::kOthers;
    if (of == Class::kAll || of == own) sum.Merge(slices_[i]);
  }
  return sum;
}

SessionSpread Tally::Spread(Class of, Offset end) const {
  SessionSpread spread;
  std::vector<uint64_t> predictions;
  for (size_t i = 0; i < sessions_.size(); ++i) {
    const Session& session = sessions_[i];
    if (!IsIn(i, of) || session.offered == 0) continue;
    if (session.predictions == 0) ++spread.starved;
    predictions.push_back(session.predictions);
    spread.longest_gap = std::max({spread.longest_gap, session.longest_gap, end - session.last});
  }
  if (predictions.empty()) return spread;
  std::sort(predictions.begin(), predictions.end());
  spread.least = predictions.front();
  spread.median = predictions[predictions.size() / 2];
  spread.most = predictions.back();
  return spread;
}

double Tally::SecondsToSettle(size_t phase) const {
  const auto begin = static_cast<size_t>(plan_.Begin(phase) / std::chrono::seconds(1));
  const auto end = static_cast<size_t>(plan_.Begin(phase + 1) / std::chrono::seconds(1));
  size_t settled = end;
  while (settled > begin) {
    const Second& second = seconds_[settled - 1];
    const auto offered = static_cast<double>(second.offered);
    if (static_cast<double>(second.in_time) < kNormal * offered) break;
    --settled;
  }
  return static_cast<double>(settled - begin);
}

Slice& Tally::SliceOf(const FrameRecord& frame) {
  const bool others = frame.session >= heavy_;
  return slices_[plan_.PhaseAt(frame.time.due) * 2 + (others ? 1 : 0)];
}

Second& Tally::SecondOf(const FrameRecord& frame) {
  const auto second = static_cast<size_t>(frame.time.due / std::chrono::seconds(1));
  return seconds_[std::min(second, seconds_.size() - 1)];
}

bool Tally::IsIn(size_t session, Class of) const {
  return of == Class::kAll || (of == Class::kHeavy) == (session < heavy_);
}

}  // namespace emotion::bench

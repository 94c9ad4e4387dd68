#include "embedding_service/batching/encoder_board.h"

#include <algorithm>

namespace emotion::embedding {

using std::chrono::nanoseconds;

EncoderBoard::EncoderBoard(size_t encoders, size_t max_frames, int64_t max_patches)
    : max_frames_(std::max<size_t>(max_frames, 1)),
      max_patches_(std::max<int64_t>(max_patches, 1)),
      encoders_(std::max<size_t>(encoders, 1)) {}

void EncoderBoard::Began(size_t encoder, int64_t patches, TimePoint now) {
  encoders_[encoder].since = now;
  encoders_[encoder].patches = patches;
}

void EncoderBoard::Ended(size_t encoder, TimePoint now, bool measured) {
  Encoder& ended = encoders_[encoder];
  if (ended.since && measured) pace_.Record(ended.patches, now - *ended.since);
  ended.since.reset();
}

bool EncoderBoard::AnyFree() const {
  return std::any_of(encoders_.begin(), encoders_.end(), [](const auto& e) { return !e.since; });
}

bool EncoderBoard::AllFree() const {
  return std::all_of(encoders_.begin(), encoders_.end(), [](const auto& e) { return !e.since; });
}

void EncoderBoard::Limit(size_t encoder, size_t frames, TimePoint until) {
  encoders_[encoder].limited_frames = std::max<size_t>(frames, 1);
  encoders_[encoder].limited_until = until;
}

size_t EncoderBoard::MaxFrames(size_t encoder, TimePoint now) const {
  const Encoder& asked = encoders_[encoder];
  return now < asked.limited_until ? std::min(asked.limited_frames, max_frames_) : max_frames_;
}

WaitEstimate EncoderBoard::Estimate(const Work& ahead, int64_t patches, TimePoint now) const {
  size_t max_frames = 1;
  for (size_t i = 0; i < encoders_.size(); ++i)
    max_frames = std::max(max_frames, MaxFrames(i, now));
  const double batches =
      std::max(static_cast<double>(ahead.frames) / static_cast<double>(max_frames),
               static_cast<double>(ahead.patches) / static_cast<double>(max_patches_));
  const auto full = static_cast<int64_t>(batches);
  const auto of_each =
      full == 0 ? 0 : static_cast<int64_t>(static_cast<double>(ahead.patches) / batches);
  const int64_t rest = ahead.patches - full * of_each;
  const nanoseconds wait = Begin(full, pace_.Estimate(of_each), now);
  return {.wait = wait,
          .ahead = wait + pace_.Estimate(rest),
          .answer = wait + pace_.Estimate(rest + patches)};
}

nanoseconds EncoderBoard::Begin(int64_t batches, nanoseconds each, TimePoint now) const {
  std::vector<nanoseconds> free;
  free.reserve(encoders_.size());
  for (const Encoder& encoder : encoders_) free.push_back(FreeIn(encoder, now));
  std::sort(free.begin(), free.end());
  const auto encoders = static_cast<int64_t>(free.size());
  const int64_t rounds = batches / encoders;
  const double before = static_cast<double>(each.count()) * static_cast<double>(rounds);
  const double longest = static_cast<double>(EncodePace::kLongest.count());
  return free[static_cast<size_t>(batches % encoders)] +
         nanoseconds(static_cast<int64_t>(std::min(before, longest)));
}

// One that takes longer than ever is only known to be late: it may be free at once.
nanoseconds EncoderBoard::FreeIn(const Encoder& encoder, TimePoint now) const {
  if (!encoder.since) return nanoseconds(0);
  return std::max(pace_.Estimate(encoder.patches) - (now - *encoder.since), nanoseconds(0));
}

}  // namespace emotion::embedding

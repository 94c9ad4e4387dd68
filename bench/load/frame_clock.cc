#include "bench/load/frame_clock.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace emotion::bench {
namespace {

constexpr double kNanoseconds = 1e9;

absl::Status Wrong(std::string_view part, std::string_view why) {
  const std::string message = fmt::format("phase: '{}': {}", part, why);
  return absl::InvalidArgumentError(message);
}

std::optional<double> ParseNumber(std::string_view text) {
  if (text.ends_with('x')) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

absl::Status ReadPart(std::string_view part, Phase* phase) {
  const size_t equals = part.find('=');
  if (equals == std::string_view::npos) return Wrong(part, "must be name=, rate= or seconds=");
  const std::string_view key = part.substr(0, equals);
  const std::string_view value = part.substr(equals + 1);
  if (key == "name") {
    if (value.empty()) return Wrong(part, "must not be empty");
    phase->name = value;
    return absl::OkStatus();
  }
  const std::optional<double> number = ParseNumber(value);
  if (key == "rate") {
    if (!number || *number < 0 || *number > 1000) return Wrong(part, "must be 0 to 1000");
    phase->rate = *number;
  } else if (key == "seconds") {
    if (!number || *number <= 0 || *number > 86400) return Wrong(part, "must be above 0, to 86400");
    phase->length = Offset(std::llround(*number * kNanoseconds));
  } else {
    return Wrong(part, "must be name=, rate= or seconds=");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Phase> ParsePhase(std::string_view text, size_t number) {
  Phase phase{.name = fmt::format("phase{}", number)};
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (absl::Status read = ReadPart(text.substr(0, comma), &phase); !read.ok()) return read;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (phase.length == Offset(0)) return Wrong(phase.name, "needs seconds=");
  return phase;
}

PhasePlan::PhasePlan(std::vector<Phase> phases) : phases_(std::move(phases)), begins_{Offset(0)} {
  for (const Phase& phase : phases_) begins_.push_back(begins_.back() + phase.length);
}

size_t PhasePlan::PhaseAt(Offset time) const {
  const auto after = std::upper_bound(begins_.begin() + 1, begins_.end() - 1, time);
  return static_cast<size_t>(after - begins_.begin()) - 1;
}

FrameClock::FrameClock(const PhasePlan& plan, const Options& options)
    : plan_(plan), options_(options), random_(options.seed * 2654435761U + 1) {
  random_.discard(3);  // the first numbers of neighbouring seeds are alike
}

std::optional<FrameTime> FrameClock::Next() {
  double step = 1;
  if (options_.arrivals == Arrivals::kPoisson) {
    step = -std::log1p(-Uniform());
  } else if (first_) {
    step = Uniform();
  }
  first_ = false;
  const std::optional<Offset> capture = Advance(step);
  if (!capture) return std::nullopt;
  const double rate = options_.fps * plan_.phases()[plan_.PhaseAt(*capture)].rate;
  const double late = Uniform() * options_.jitter / rate;
  return FrameTime{.capture = *capture,
                   .due = *capture + Offset(std::llround(late * kNanoseconds))};
}

// In [0, 1).
double FrameClock::Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }

// Moves on until `frames` frames would have been taken at the rates that hold on the way.
std::optional<Offset> FrameClock::Advance(double frames) {
  while (now_ < plan_.total()) {
    const size_t phase = plan_.PhaseAt(now_);
    const double rate = options_.fps * plan_.phases()[phase].rate;
    const Offset end = plan_.Begin(phase + 1);
    const double fit = rate * std::chrono::duration<double>(end - now_).count();
    if (frames < fit) {
      now_ += Offset(std::llround(frames / rate * kNanoseconds));
      return now_ < plan_.total() ? std::optional(now_) : std::nullopt;
    }
    frames -= fit;
    now_ = end;
  }
  return std::nullopt;
}

}  // namespace emotion::bench

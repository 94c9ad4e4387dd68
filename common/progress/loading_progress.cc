#include "common/progress/loading_progress.h"

#include <cmath>
#include <utility>

#include "common/log/log.h"

namespace emotion {
namespace {

constexpr std::chrono::seconds kQuiet{1};
constexpr std::chrono::seconds kPeriod{10};

}  // namespace

std::optional<int> ProgressSteps::Due(double share, std::chrono::nanoseconds elapsed) {
  if (!(share >= 0 && share < 1) || elapsed < kQuiet) return std::nullopt;
  const int quarters = static_cast<int>(share * 4);
  if (quarters <= quarters_ && elapsed - told_ < kPeriod) return std::nullopt;
  quarters_ = quarters;
  told_ = elapsed;
  return static_cast<int>(std::lround(share * 100));
}

LoadingProgress::LoadingProgress(std::string what) : what_(std::move(what)), bar_(what_) {}

void LoadingProgress::Show(double share) {
  constexpr int64_t kWhole = 10'000;
  if (bar_.visible()) return bar_.Show(std::llround(share * kWhole), kWhole);
  const auto elapsed = std::chrono::steady_clock::now() - began_;
  if (const auto percent = steps_.Due(share, elapsed)) {
    const double seconds = std::chrono::duration<double>(elapsed).count();
    LogInfo(what_, {{"percent", *percent}, {"seconds", std::round(seconds * 10) / 10}});
  }
}

}  // namespace emotion

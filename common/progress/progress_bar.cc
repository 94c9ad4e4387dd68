#include "common/progress/progress_bar.h"

#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace emotion {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kQuiet{500};
constexpr std::chrono::milliseconds kPeriod{100};
constexpr int kWidth = 40;

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      visible_(isatty(STDERR_FILENO) == 1),
      next_(steady_clock::now() + kQuiet) {}

void ProgressBar::Show(int64_t done, int64_t total) {
  const auto now = steady_clock::now();
  if (!visible_ || total <= 0 || now < next_) return;
  next_ = now + kPeriod;
  shown_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int filled = static_cast<int>(share * kWidth);
  fmt::print(stderr, "\r{} [{:=<{}}{: <{}}] {:3.0f}%\r", label_, "", filled, "", kWidth - filled,
             100 * share);
  std::fflush(stderr);
}

void ProgressBar::End() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace emotion

#include "cli/progress_bar.h"

#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace emotion::cli {
namespace {

constexpr std::chrono::milliseconds kPeriod{100};
constexpr int kWidth = 40;

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), visible_(isatty(STDERR_FILENO) == 1) {}

void ProgressBar::Show(int64_t done, int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!visible_ || total <= 0 || now - drawn_ < kPeriod) return;
  drawn_ = now;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int filled = static_cast<int>(share * kWidth);
  fmt::print(stderr, "\r{} [{:=<{}}{: <{}}] {:3.0f}%", label_, "", filled, "", kWidth - filled,
             100 * share);
  std::fflush(stderr);
}

void ProgressBar::End() {
  if (visible_) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace emotion::cli

// A progress bar on stderr, for work that takes seconds; silent where stderr is no terminal, and
// for work that is over before anybody wonders.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace emotion {

// Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);

  bool visible() const { return visible_; }

  // Draws at most ten times a second, and nothing in the first half second. Leaves the cursor at
  // the line's begin, so that a log line that comes between takes the bar's place.
  void Show(int64_t done, int64_t total);
  // Clears the line.
  void End();

 private:
  const std::string label_;
  const bool visible_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace emotion

// A progress bar on stderr, for work that takes seconds; silent where stderr is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace emotion::cli {

// Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);

  // Draws at most ten times a second.
  void Show(int64_t done, int64_t total);
  // Clears the line.
  void End();

 private:
  const std::string label_;
  const bool visible_;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace emotion::cli

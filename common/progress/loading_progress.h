// What a program shows while it loads for seconds: a bar where stderr is a terminal, else a log
// line now and then. Loading that takes milliseconds shows nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/progress/progress_bar.h"

namespace emotion {

// When a line is due: at each quarter that is passed and, on the way to the next, every ten
// seconds; never in the first second, and never at the end, which has a line of its own. Pure.
class ProgressSteps {
 public:
  // The percentage to tell, if it is time to. `share` from 0 to 1, `elapsed` since the begin.
  std::optional<int> Due(double share, std::chrono::nanoseconds elapsed);

 private:
  int quarters_ = 0;
  std::chrono::nanoseconds told_{0};
};

// One at a time may call.
class LoadingProgress {
 public:
  explicit LoadingProgress(std::string what);  // such as "loading the encoder"
  ~LoadingProgress() { bar_.End(); }
  LoadingProgress(const LoadingProgress&) = delete;
  LoadingProgress& operator=(const LoadingProgress&) = delete;

  // The share that is done, 0 to 1.
  void Show(double share);

 private:
  const std::string what_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  ProgressBar bar_;
  ProgressSteps steps_;
};

}  // namespace emotion

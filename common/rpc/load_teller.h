// When a server tells its streams how loaded it is: when that changed noticeably, and at most four
// times a second, however many streams there are.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "emotion/v1/frame.pb.h"

namespace emotion {

// Is `now` worth telling to those who know `told`? A wait or a pace that differs by more than 10 %
// and 5 ms is, another window, another state of the shared cache.
bool Noticeable(const v1::Load& told, const v1::Load& now);

// One thread that asks `load` in each period and hands what is worth telling to `tell`. Both are
// called on that thread, without locks, from the constructor until Stop() returned.
class LoadTeller {
 public:
  static constexpr std::chrono::milliseconds kPeriod{250};

  LoadTeller(std::function<v1::Load()> load, std::function<void(const v1::Load&)> tell,
             std::chrono::milliseconds period = kPeriod);
  ~LoadTeller() { Stop(); }
  LoadTeller(const LoadTeller&) = delete;
  LoadTeller& operator=(const LoadTeller&) = delete;

  void Stop();  // joins; not from inside a callback; safe to call twice

 private:
  void Run(const std::stop_token& stop);

  const std::function<v1::Load()> load_;
  const std::function<void(const v1::Load&)> tell_;
  const std::chrono::milliseconds period_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace emotion

// For tests of callbacks: what they say is collected, and waited for with a limit instead of a
// sleep.
#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "common/sync/mutex.h"

namespace emotion::testing {

inline constexpr std::chrono::seconds kPatience{20};  // a failure, when it is over

template <class Item>
class Collected {
 public:
  void Add(Item item) {
    MutexLock lock(mutex_);
    items_.push_back(std::move(item));
    changed_.NotifyAll();
  }

  // The first `count` items, or fewer when patience ends.
  std::vector<Item> WaitFor(size_t count) {
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(mutex_);
    while (items_.size() < count && changed_.WaitUntil(mutex_, limit)) {
    }
    return items_;
  }

  std::vector<Item> Now() {
    MutexLock lock(mutex_);
    return items_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<Item> items_ GUARDED_BY(mutex_);
};

// Asks until the answer is yes; for states that no callback tells about.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace emotion::testing

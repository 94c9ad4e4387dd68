// For tests of callbacks: what they say is collected, and waited for with a limit instead of a
// sleep.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "common/sync/mutex.h"
#include "tests/fakes/eventually.h"

namespace emotion::testing {

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

}  // namespace emotion::testing

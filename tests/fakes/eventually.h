// Waiting for what other threads do, without guessing how long they take.
#pragma once

#include <chrono>
#include <thread>

namespace emotion::testing {

inline constexpr std::chrono::seconds kPatience{20};  // a failure, when it is over

// Looks every 2 ms; false when `condition` still does not hold after `patience`.
template <class Condition>
bool Eventually(const Condition& condition, std::chrono::seconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace emotion::testing

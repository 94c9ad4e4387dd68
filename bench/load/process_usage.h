// What a process has used so far, out of /proc.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace emotion::bench {

struct ProcessUsage {
  std::chrono::duration<double> cpu{0};  // of all its threads, user and system
  uint64_t resident_bytes = 0;
};

// `pid` 0: this process. nullopt when there is none (any more).
std::optional<ProcessUsage> UsageOf(pid_t pid);

}  // namespace emotion::bench

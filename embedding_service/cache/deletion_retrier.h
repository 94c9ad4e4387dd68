// Deletions that a shared tier has not heard of yet, and a thread that tells it until it has.
//
// Each is tried again every `interval` for `keep`, after which nothing that it is about lives any
// more. Bounded: beyond `max_pending` the next are not taken. Safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "common/sync/mutex.h"

namespace emotion::embedding {

class DeletionRetrier {
 public:
  using Forget = std::function<void(const std::string& session, int64_t deleted_at_us,
                                    std::function<void(absl::Status)> done)>;
  struct Options {
    std::chrono::milliseconds interval{500};
    std::chrono::seconds keep{600};
    size_t max_pending = 10'000;
  };

  // `forget` must answer each call, at once or later but before this object is destroyed.
  DeletionRetrier(Options options, Forget forget);
  ~DeletionRetrier();  // Stop()

  // False: too many wait already.
  bool Add(const std::string& session, int64_t deleted_at_us);

  size_t pending() const;

  // Tries nothing any more. May be repeated.
  void Stop();

 private:
  struct Pending {
    int64_t deleted_at_us = 0;
    std::chrono::steady_clock::time_point until;
  };

  void Run();
  bool AwaitNextRound();
  std::vector<std::pair<std::string, int64_t>> Round();
  void Told(const std::string& session, int64_t deleted_at_us);

  const Options options_;
  const Forget forget_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::unordered_map<std::string, Pending> pending_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace emotion::embedding

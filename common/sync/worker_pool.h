// A few threads and a bounded queue, for work that must not run on the thread it comes from (gRPC's
// callback threads above all, of which there are two on a small machine).
//
// Tasks start in the order in which they were taken, each on one of `threads` threads. The
// destructor runs what was taken, then joins: whoever a task refers to must outlive the pool.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "common/sync/mutex.h"

namespace emotion {

class WorkerPool {
 public:
  using Task = std::function<void()>;  // must not throw

  // REQUIRES: threads >= 1, capacity >= 1. `capacity` bounds the tasks that wait.
  WorkerPool(size_t threads, size_t capacity);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False, and the task is not taken, when `capacity` tasks wait already. Any thread.
  [[nodiscard]] bool Submit(Task task) EXCLUDES_LOCK(mutex_);

 private:
  void Run() EXCLUDES_LOCK(mutex_);

  const size_t capacity_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace emotion

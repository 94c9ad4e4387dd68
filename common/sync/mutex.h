// std::mutex with clang's thread-safety annotations, so that `make lint` proves which lock guards
// which member. (absl::Mutex has them too, but Debian's Abseil is built without the thread
// sanitizer, which then cannot see its locks.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define EMOTION_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define EMOTION_THREAD_ATTRIBUTE(x)
#endif

// Abseil's headers define two of these names, with the same meaning.
#undef GUARDED_BY
#undef NO_THREAD_SAFETY_ANALYSIS

// On members: read and written only while `mutex` is held.
#define GUARDED_BY(mutex) EMOTION_THREAD_ATTRIBUTE(guarded_by(mutex))
// On functions: the caller holds `...` / must not hold `...`.
#define REQUIRES_LOCK(...) EMOTION_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES_LOCK(...) EMOTION_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
// On functions that the analysis cannot follow; say why beside it.
#define NO_THREAD_SAFETY_ANALYSIS EMOTION_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace emotion {

class EMOTION_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void Lock() EMOTION_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void Unlock() EMOTION_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class EMOTION_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) EMOTION_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() EMOTION_THREAD_ATTRIBUTE(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// A condition variable for Mutex. Waits may wake without cause: call them in a loop.
class CondVar {
 public:
  void Wait(Mutex& mutex) REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Returns false when `deadline` passed.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
      REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace emotion

#include "common/sync/team.h"

#include "common/sync/long_slice.h"

namespace emotion {
namespace {

constexpr int kLooks = 5000;  // some 100 us

void Breathe() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

Team::Team(int size) {
  helpers_.reserve(static_cast<size_t>(size - 1));
  for (int member = 1; member < size; ++member) {
    helpers_.emplace_back([this, member] { Help(member); });
  }
}

Team::~Team() {
  stopping_ = true;
  ++round_;
  round_.notify_all();
}

void Team::Run(int64_t items, const void* work, Call call) {
  if (items <= 1 || helpers_.empty()) {
    for (int64_t item = 0; item < items; ++item) call(work, item, 0);
    return;
  }
  work_ = work;
  call_ = call;
  items_ = static_cast<uint32_t>(items);
  done_.store(0, std::memory_order_relaxed);
  const uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  ticket_.store(uint64_t{round} << 32 | items_, std::memory_order_release);
  round_.store(round, std::memory_order_release);
  round_.notify_all();
  Take(0);
  AwaitAll();
}

void Team::Help(int member) {
  TakeLongSlices();
  for (;;) {
    const uint32_t round = round_.load(std::memory_order_acquire);
    if (stopping_) return;  // after the round was read, or its last change could be slept through
    Take(member);
    AwaitRound(round);
  }
}

void Team::Take(int member) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(ticket) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    // The round cannot end while this item is not done, so what belongs to it stays.
    call_(work_, items_ - static_cast<uint32_t>(ticket), member);
    const uint32_t items = items_;
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == items && member != 0) {
      done_.notify_one();
    }
    EndSliceIfDue();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Team::AwaitRound(uint32_t seen) {
  for (int look = 0; look < kLooks; ++look) {
    if (round_.load(std::memory_order_relaxed) != seen) return;
    Breathe();
  }
  round_.wait(seen);
}

void Team::AwaitAll() {
  for (int look = 0; look < kLooks; ++look) {
    if (done_.load(std::memory_order_acquire) == items_) return;
    Breathe();
  }
  for (uint32_t done = done_.load(std::memory_order_acquire); done != items_;
       done = done_.load(std::memory_order_acquire)) {
    done_.wait(done);
  }
}

}  // namespace emotion

#include "common/rpc/load_teller.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace emotion {
namespace {

constexpr uint32_t kNoticeableMs = 5;
constexpr uint32_t kNoticeablePart = 10;  // a tenth of the larger

bool Differ(uint32_t a, uint32_t b) {
  const uint32_t difference = std::max(a, b) - std::min(a, b);
  return difference > kNoticeableMs && difference > std::max(a, b) / kNoticeablePart;
}

}  // namespace

bool Noticeable(const v1::Load& told, const v1::Load& now) {
  return Differ(told.queue_wait_ms(), now.queue_wait_ms()) ||
         Differ(told.next_frame_after_ms(), now.next_frame_after_ms()) ||
         told.window_frames() != now.window_frames() || told.shared_cache() != now.shared_cache();
}

LoadTeller::LoadTeller(std::function<v1::Load()> load, std::function<void(const v1::Load&)> tell,
                       std::chrono::milliseconds period)
    : load_(std::move(load)),
      tell_(std::move(tell)),
      period_(period),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void LoadTeller::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void LoadTeller::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  v1::Load told;
  while (!wake.wait_for(lock, stop, period_, [&] { return stop.stop_requested(); })) {
    const v1::Load now = load_();
    if (!Noticeable(told, now)) continue;
    told = now;
    tell_(now);
  }
}

}  // namespace emotion

#include "embedding_service/cache/deletion_retrier.h"

#include <algorithm>
#include <utility>

namespace emotion::embedding {
namespace {

using std::chrono::steady_clock;

constexpr size_t kPerRound = 64;  // far below what a client lets wait

}  // namespace

DeletionRetrier::DeletionRetrier(Options options, Forget forget)
    : options_(options), forget_(std::move(forget)), thread_([this] { Run(); }) {}

DeletionRetrier::~DeletionRetrier() { Stop(); }

bool DeletionRetrier::Add(const std::string& session, int64_t deleted_at_us) {
  const MutexLock lock(mutex_);
  if (pending_.size() >= options_.max_pending && !pending_.contains(session)) return false;
  Pending& pending = pending_.try_emplace(session, Pending{deleted_at_us, {}}).first->second;
  pending.deleted_at_us = std::max(pending.deleted_at_us, deleted_at_us);
  pending.until = steady_clock::now() + options_.keep;
  changed_.NotifyAll();
  return true;
}

size_t DeletionRetrier::pending() const {
  const MutexLock lock(mutex_);
  return pending_.size();
}

void DeletionRetrier::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void DeletionRetrier::Run() {
  while (AwaitNextRound()) {
    for (const auto& [session, deleted_at_us] : Round()) {
      forget_(session, deleted_at_us,
              [this, session = session, at = deleted_at_us](const absl::Status& status) {
                if (status.ok()) Told(session, at);
              });
    }
  }
}

// False: stopped.
bool DeletionRetrier::AwaitNextRound() {
  const MutexLock lock(mutex_);
  while (pending_.empty() && !stopping_) changed_.Wait(mutex_);
  const auto next = steady_clock::now() + options_.interval;
  while (!stopping_ && steady_clock::now() < next) changed_.WaitUntil(mutex_, next);
  return !stopping_;
}

std::vector<std::pair<std::string, int64_t>> DeletionRetrier::Round() {
  const auto now = steady_clock::now();
  std::vector<std::pair<std::string, int64_t>> round;
  const MutexLock lock(mutex_);
  std::erase_if(pending_, [&](const auto& entry) { return entry.second.until <= now; });
  for (const auto& [session, pending] : pending_) {
    if (round.size() >= kPerRound) break;
    round.emplace_back(session, pending.deleted_at_us);
  }
  return round;
}

void DeletionRetrier::Told(const std::string& session, int64_t deleted_at_us) {
  const MutexLock lock(mutex_);
  const auto found = pending_.find(session);
  if (found != pending_.end() && found->second.deleted_at_us <= deleted_at_us)
    pending_.erase(found);
}

}  // namespace emotion::embedding

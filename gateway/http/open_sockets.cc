#include "gateway/http/open_sockets.h"

#include <vector>

namespace emotion::gateway {

void OpenSockets::Slot::Bind(std::weak_ptr<OpenSocket> socket) {
  if (owner_ != nullptr) owner_->Bind(id_, std::move(socket));
}

void OpenSockets::Slot::Leave() {
  if (OpenSockets* owner = std::exchange(owner_, nullptr)) owner->Leave(id_, group_);
}

std::optional<OpenSockets::Slot> OpenSockets::Enter(const std::string& group) {
  MutexLock lock(mutex_);
  if (sockets_.size() >= most_) return std::nullopt;
  const auto found = per_group_.find(group);
  if (found != per_group_.end() && found->second >= most_per_group_) return std::nullopt;
  ++per_group_[group];
  const uint64_t id = ++last_id_;
  sockets_[id] = {};
  return Slot(*this, id, group);
}

void OpenSockets::Bind(uint64_t id, std::weak_ptr<OpenSocket> socket) {
  MutexLock lock(mutex_);
  sockets_[id] = std::move(socket);
}

void OpenSockets::Leave(uint64_t id, const std::string& group) {
  MutexLock lock(mutex_);
  sockets_.erase(id);
  const auto found = per_group_.find(group);
  if (found != per_group_.end() && --found->second == 0) per_group_.erase(found);
  changed_.NotifyAll();
}

size_t OpenSockets::size() const {
  MutexLock lock(mutex_);
  return sockets_.size();
}

void OpenSockets::ForEach(void (*action)(OpenSocket&)) {
  std::vector<std::shared_ptr<OpenSocket>> alive;
  {
    MutexLock lock(mutex_);
    alive.reserve(sockets_.size());
    for (const auto& [id, weak] : sockets_) {
      if (auto socket = weak.lock()) alive.push_back(std::move(socket));
    }
  }
  for (const auto& socket : alive) action(*socket);
}

bool OpenSockets::WaitForNone(std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mutex_);
  while (!sockets_.empty()) {
    if (!changed_.WaitUntil(mutex_, deadline)) return sockets_.empty();
  }
  return true;
}

}  // namespace emotion::gateway

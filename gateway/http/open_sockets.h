// Every open socket of a server: how many there are, in all and per address, and a way to reach
// each of them when the server drains or stops.
//
// A socket holds a Slot from its acceptance to its end. What serves it may change meanwhile (HTTP,
// then WebSocket): the slot is bound anew. Safe from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/sync/mutex.h"

namespace emotion::gateway {

// What serves one socket. All functions return at once, from any thread.
class OpenSocket {
 public:
  virtual ~OpenSocket() = default;
  virtual void BeginDrain() = 0;
  // Ends as soon as nothing is being answered.
  virtual void Shut() = 0;
  // Ends at once.
  virtual void Abort() = 0;
};

class OpenSockets {
 public:
  // Move-only; gives its place back when it is destroyed. Outlived by the OpenSockets.
  class Slot {
   public:
    Slot(Slot&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)),
          id_(other.id_),
          group_(std::move(other.group_)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() { Leave(); }

    // Who hears of a drain from now on.
    void Bind(std::weak_ptr<OpenSocket> socket);
    void Leave();

   private:
    friend class OpenSockets;
    Slot(OpenSockets& owner, uint64_t id, std::string group)
        : owner_(&owner), id_(id), group_(std::move(group)) {}

    OpenSockets* owner_;
    uint64_t id_;
    std::string group_;
  };

  OpenSockets(size_t most, size_t most_per_group) : most_(most), most_per_group_(most_per_group) {}

  // `group`: the address, as limits count it. nullopt: too many, in all or of this group.
  std::optional<Slot> Enter(const std::string& group);

  size_t size() const;
  void ForEach(void (*action)(OpenSocket&));

  // False: some are left at `deadline`.
  bool WaitForNone(std::chrono::steady_clock::time_point deadline);

 private:
  void Bind(uint64_t id, std::weak_ptr<OpenSocket> socket);
  void Leave(uint64_t id, const std::string& group);

  const size_t most_;
  const size_t most_per_group_;
  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t last_id_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<uint64_t, std::weak_ptr<OpenSocket>> sockets_ GUARDED_BY(mutex_);
  std::map<std::string, size_t> per_group_ GUARDED_BY(mutex_);
};

}  // namespace emotion::gateway

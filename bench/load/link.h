// One session's way to the server, whatever the transport: what it can be asked, and what it tells.
//
// Everything runs on the one thread of the io_context. A link lives once: after OnLost or Close a
// session makes another. Answers may come in any order.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bench/load/answer.h"

namespace emotion::bench {

struct OutgoingFrame {
  uint64_t id = 0;  // 1, 2, 3, ... on one link
  std::string image;
  std::chrono::milliseconds timeout{1000};  // time left, for transports that carry it
};

class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual void OnReady() = 0;  // frames may be sent
  virtual void OnAnswer(uint64_t id, const Answer& answer) = 0;
  // The link is gone, and nobody asked it to; what is unanswered stays so.
  virtual void OnLost() = 0;
};

class Link {
 public:
  virtual ~Link() = default;
  virtual void Open() = 0;  // first; OnReady or OnLost follow, not from inside
  virtual void Send(OutgoingFrame frame) = 0;
  // Nobody wants that answer any more. It may come all the same.
  virtual void Withdraw(uint64_t id) = 0;
  // At once and without a goodbye, as a laptop that is shut. No events follow.
  virtual void Close() = 0;
};

// Who a link speaks for.
struct LinkIdentity {
  size_t session = 0;
  uint32_t subject = 0;  // who shares a turn: sessions of one source address
};

// The name of a session, within the limits of session_id.
std::string SessionName(size_t session);
// The loopback address that a subject calls from, host byte order: 127.1.0.1 and up, so that turns
// and limits by address see as many clients as there are subjects.
uint32_t SourceAddress(uint32_t subject);

// The link keeps `events`, which must outlive it or call Close first.
using LinkFactory =
    std::function<std::shared_ptr<Link>(const LinkIdentity& identity, LinkEvents& events)>;

}  // namespace emotion::bench

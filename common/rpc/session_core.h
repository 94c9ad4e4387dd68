// The rules of one side of a bidirectional stream, as a state machine without gRPC, locks or clock.
//
// The shell reports events (Push, WriteDone, ...) and then asks Next() what to start. The promises,
// which gRPC needs and the tests check: at most one write and one read are outstanding; nothing is
// written after the close; the close happens once, when the queue went out or the peer is gone, and
// never while a write or a pin is outstanding.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

namespace emotion {

struct SessionLimits {
  size_t hold_reads_above = 64;
  size_t cut_off_above = 4096;
  std::chrono::milliseconds slow_peer_timeout{10000};
};

struct SessionSteps {
  bool write = false;  // start writing core.current()
  bool read = false;   // start a read
  bool close = false;  // server: Finish; client: StartWritesDone unless broken, then no more writes
};

// Only a server holds reads: if both sides did, each could wait for the other for ever. And a
// client goes on reading after its close, until the server ends the stream.
enum class SessionSide { kServer, kClient };

template <class Message>
class SessionCore {
 public:
  SessionCore(const SessionLimits& limits, SessionSide side) : limits_(limits), side_(side) {}

  // The shell is ready: reads may start. Before it only writes do.
  void Open() { open_ = true; }

  // False when the message is dropped: closing, broken, or too many wait (see overflowing).
  bool Push(Message message) {
    if (closing_ || broken_) return false;
    if (queue_.size() >= limits_.cut_off_above) {
      overflowing_ = true;
      return false;
    }
    queue_.push_back(std::move(message));
    return true;
  }

  // Close once the queue is out. False when that was asked before, or the stream is over.
  bool Close() { return !std::exchange(closing_, true) && !broken_; }

  // The peer is gone or given up: drop what waits, close as soon as nothing is outstanding.
  void Break() {
    broken_ = true;
    queue_.clear();
  }

  void WriteDone(bool ok) {
    writing_ = false;
    ++writes_done_;
    if (!ok) Break();
  }

  // After the message was handled. Not ok: the peer sends no more.
  void ReadDone(bool ok) {
    reading_ = false;
    if (!ok) read_ended_ = true;
  }

  // While pinned the close waits: someone is about to use the call.
  void Pin() { ++pins_; }
  void Unpin() { --pins_; }

  SessionSteps Next() {
    SessionSteps steps;
    if (!closed_ && !writing_) {
      if (!queue_.empty()) {
        current_ = std::move(queue_.front());
        queue_.pop_front();
        steps.write = writing_ = true;
      } else if (pins_ == 0 && (closing_ || broken_)) {
        steps.close = closed_ = true;
      }
    }
    if (open_ && !reading_ && !read_ended_ && MayRead()) steps.read = reading_ = true;
    return steps;
  }

  const Message& current() const { return current_; }  // what is being written
  bool writing() const { return writing_; }
  bool broken() const { return broken_; }
  bool closed() const { return closed_; }
  bool overflowing() const { return overflowing_; }
  uint64_t writes_done() const { return writes_done_; }

 private:
  bool MayRead() const {
    if (side_ == SessionSide::kClient) return true;
    return !closed_ && queue_.size() <= limits_.hold_reads_above;
  }

  const SessionLimits limits_;
  const SessionSide side_;
  std::deque<Message> queue_;
  Message current_{};
  int pins_ = 0;
  uint64_t writes_done_ = 0;
  bool open_ = false;
  bool writing_ = false;
  bool reading_ = false;
  bool read_ended_ = false;
  bool closing_ = false;
  bool broken_ = false;
  bool closed_ = false;
  bool overflowing_ = false;
};

}  // namespace emotion

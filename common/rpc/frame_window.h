// The book-keeping of one stream of frames, on the server's side: which frames are unanswered, and
// whether another may come. Pure: no gRPC, no lock, no clock; its owner serialises the calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"

namespace emotion {

class FrameWindow {
 public:
  // `size`: at most so many frames may be unanswered (Welcome.window_frames).
  explicit FrameWindow(size_t size) : size_(size) {}

  // May this frame come in? It then counts as unanswered until Answered(id).
  //   INVALID_ARGUMENT   the id is not below 2^53, or is in flight on this stream already
  //   RESOURCE_EXHAUSTED / QUEUE_FULL   the window is full
  //   UNAVAILABLE / DRAINING            after Drain()
  absl::Status Admit(uint64_t frame_id);

  // Remembers what to withdraw the frame with. True: that was asked before there was a ticket.
  // No-op when the frame was answered meanwhile.
  bool SetTicket(uint64_t frame_id, uint64_t ticket);

  // The ticket of a frame that is to be withdrawn; 0 when it is not in flight, or has no ticket yet
  // (SetTicket will tell).
  uint64_t Withdraw(uint64_t frame_id);

  void Answered(uint64_t frame_id);
  void Drain() { draining_ = true; }
  void HalfClose() { half_closed_ = true; }

  size_t unanswered() const { return tickets_.size(); }
  // The peer sends no more and everything is answered: the stream may end with OK.
  bool finished() const { return half_closed_ && tickets_.empty(); }
  std::vector<uint64_t> Tickets() const;  // of all unanswered frames, to withdraw them

 private:
  const size_t size_;
  bool draining_ = false;
  bool half_closed_ = false;
  std::unordered_map<uint64_t, uint64_t> tickets_;  // by frame id
  std::unordered_set<uint64_t> withdrawn_;          // frames in flight without a ticket
};

}  // namespace emotion

#include "gateway/http/incoming_message.h"

#include <algorithm>
#include <utility>

namespace emotion::gateway {
namespace {

constexpr size_t kMostRoom = 64 * 1024;

}  // namespace

std::span<char> IncomingMessage::Room(size_t hint) {
  if (filled_ == 0 || dropped_) return first_;
  const size_t room = std::clamp<size_t>(hint, 1, kMostRoom);
  bytes_.resize(filled_ + room);
  return {bytes_.data() + filled_, room};
}

IncomingMessage::Verdict IncomingMessage::Add(size_t bytes, bool text, Clock::time_point now) {
  if (!begun_) since_ = now;
  begun_ = true;
  size_ += bytes;
  if (dropped_) return Verdict::kGoOn;
  if (filled_ == 0) bytes_.assign(first_.data(), bytes);
  filled_ += bytes;
  if (!charge_) charge_ = std::make_unique<BodyCharge>(in_flight_);
  const bool room = charge_->GrowTo(filled_, most_in_flight_);
  if (text) {
    if (filled_ > limits_.text_bytes) return Verdict::kTextTooLarge;
    return room ? Verdict::kGoOn : Verdict::kTextNoRoom;
  }
  if (filled_ > limits_.binary_bytes) {
    Drop(Dropped::kTooLarge);
  } else if (!room) {
    Drop(Dropped::kNoRoom);
  }
  return Verdict::kGoOn;
}

void IncomingMessage::Drop(Dropped why) {
  dropped_ = why;
  Release();
}

IncomingMessage::Whole IncomingMessage::Take() {
  Whole whole{.bytes = std::exchange(bytes_, {}),
              .dropped = std::exchange(dropped_, std::nullopt),
              .size = std::exchange(size_, 0),
              .charge = std::move(charge_)};
  whole.bytes.resize(whole.dropped ? 0 : filled_);
  filled_ = 0;
  begun_ = false;
  return whole;
}

void IncomingMessage::Release() {
  std::string().swap(bytes_);
  charge_.reset();
}

}  // namespace emotion::gateway

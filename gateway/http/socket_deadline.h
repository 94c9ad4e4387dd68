// Ends what a socket waits for when its time is over.
//
// A request is over long before its deadlines are. So a timer that runs already, and ends first, is
// left alone and looks again when it ends: most requests do not touch it at all.
//
// To be used on the socket's strand only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace emotion::gateway {

class SocketDeadline {
 public:
  using Clock = std::chrono::steady_clock;
  using Owner = std::shared_ptr<const void>;

  explicit SocketDeadline(boost::asio::ip::tcp::socket& socket)
      : socket_(socket), timer_(socket.get_executor()) {}

  // Every operation on the socket from now on ends after `time`, with expired() true. `owner` of
  // the socket and of this lives until then, or until Stop.
  void Arm(std::chrono::milliseconds time, Owner owner) {
    expired_ = false;
    at_ = Clock::now() + time;
    if (!waiting_ || timer_.expiry() > at_) Wait(std::move(owner));
  }

  void Disarm() { at_ = kNever; }

  // Lets go of the owner.
  void Stop() {
    Disarm();
    ++number_;
    timer_.cancel();
  }

  bool expired() const { return expired_; }

 private:
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  void Wait(Owner owner) {
    waiting_ = true;
    timer_.expires_at(at_);  // ends the wait before
    timer_.async_wait([this, owner = std::move(owner),
                       number = ++number_](const boost::system::error_code& error) mutable {
      if (error || number != number_) return;
      waiting_ = false;
      Look(std::move(owner));
    });
  }

  void Look(Owner owner) {
    if (at_ == kNever) return;
    if (Clock::now() < at_) return Wait(std::move(owner));
    expired_ = true;
    boost::system::error_code ignored;
    socket_.cancel(ignored);
  }

  boost::asio::ip::tcp::socket& socket_;
  boost::asio::steady_timer timer_;
  Clock::time_point at_ = kNever;
  uint64_t number_ = 0;  // of the wait of timer_
  bool waiting_ = false;
  bool expired_ = false;
};

}  // namespace emotion::gateway

// One client's connection: reads requests, has them answered in order, writes the answers.
//
// A connection runs as one coroutine on a strand of its own, so its members need no locks. Every
// wait has a deadline (limits.h). Requests that were pipelined are answered one after another.
// While a request is being answered the socket is watched: a client that leaves is told to the
// exchange, which cancels the work. Included only by the .cc files of this folder: it needs Asio.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "gateway/http/app.h"
#include "gateway/http/limits.h"

namespace emotion::gateway {

// What all connections of a server share. Outlives them.
struct ServerState {
  HttpApp& app;
  HttpLimits limits;
  std::atomic<bool> draining{false};  // answers end their connection
  std::atomic<bool> stopping{false};  // idle connections end too
  std::atomic<size_t> body_bytes{0};  // held by bodies in flight
};

// What one request's body adds to ServerState::body_bytes; given back at the end.
class BodyCharge {
 public:
  explicit BodyCharge(std::atomic<size_t>& total) : total_(total) {}
  ~BodyCharge() { total_ -= charged_; }
  BodyCharge(const BodyCharge&) = delete;
  BodyCharge& operator=(const BodyCharge&) = delete;

  // False when all bodies together are then over `limit`. `bytes` never shrinks.
  bool GrowTo(size_t bytes, size_t limit) {
    const size_t more = bytes - charged_;
    charged_ = bytes;
    return total_.fetch_add(more) + more <= limit;
  }

 private:
  std::atomic<size_t>& total_;
  size_t charged_ = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  // `closed` is called when the connection is destroyed, on whatever thread that happens.
  Connection(Socket socket, std::string address, ServerState& state, std::function<void()> closed);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  // From any thread. Shut ends it as soon as nothing is being answered; Abort at once.
  void Shut();
  void Abort();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  // What a request in the hands of a handler waits for.
  struct Pending {
    std::optional<Response> response;
    bool gone = false;
  };

  Awaitable<void> Run();
  // False: the client is silent or has left, or the server stops.
  Awaitable<bool> WaitForRequest(bool first);
  // True: the connection may carry another request.
  Awaitable<bool> ServeOne(bool last);
  // The answer that ends the request before its body, if any; else the body was read.
  Awaitable<std::optional<Response>> ReadBody(Parser& parser, const HttpApp::Admission& admission,
                                              Request& request, BodyCharge& charge);
  Awaitable<bool> SendContinue();
  Awaitable<Response> Answer(Request& request);
  void WatchForLeaving(const std::shared_ptr<Exchange>& exchange,
                       const std::shared_ptr<Pending>& pending);
  Awaitable<bool> Write(const Request& request, Response& response, bool keep);
  Awaitable<void> Linger();

  // Every operation on the socket from now on ends after `time`, with expired_ set.
  void Arm(std::chrono::milliseconds time);
  void Disarm();
  std::chrono::milliseconds TimeFor(std::chrono::milliseconds base, size_t bytes) const;

  Socket socket_;
  const std::string address_;
  ServerState& state_;
  const std::function<void()> closed_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer wake_;
  boost::beast::flat_buffer buffer_;
  std::chrono::steady_clock::time_point born_;
  uint64_t deadline_number_ = 0;
  bool expired_ = false;
  bool idle_ = false;
  bool body_unread_ = false;  // the client may still be sending what nobody will read
};

}  // namespace emotion::gateway

// One client's connection: reads requests, has them answered in order, writes the answers.
//
// A connection runs as one coroutine on a strand of its own, so its members need no locks. Every
// wait has a deadline (limits.h). Requests that were pipelined are answered one after another.
// While a request is being answered the socket is watched: a client that leaves is told to the
// exchange, which cancels the work. A request that becomes a WebSocket takes the socket with it,
// and the connection is freed. Included only by the .cc files of this folder: it needs Asio.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "gateway/http/app.h"
#include "gateway/http/body_charge.h"
#include "gateway/http/open_sockets.h"
#include "gateway/http/server_state.h"
#include "gateway/http/socket_deadline.h"

namespace emotion::gateway {

class Connection final : public OpenSocket, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  Connection(Socket socket, std::string address, ServerState& state, OpenSockets::Slot slot);

  void Start();
  void BeginDrain() override {}  // the next answer looks
  void Shut() override;
  void Abort() override;

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  // What a request in the hands of a handler waits for.
  struct Pending {
    std::optional<Response> response;
    // The thread that is in the handler: an answer from there needs no way to the strand.
    std::atomic<std::thread::id> handled_by = {};
  };

  Awaitable<void> Run();
  // False: the client is silent or has left, or the server stops.
  Awaitable<bool> WaitForRequest(bool first);
  // True: the connection may carry another request.
  Awaitable<bool> ServeOne(bool last);
  // The answer that ends the request before its body, if any; else the body was read.
  Awaitable<std::optional<Response>> ReadBody(Parser& parser, const HttpApp::Admission& admission,
                                              Request& request, BodyCharge& charge);
  // The answer to a WebSocket request that cannot become one, else nullopt: the socket is gone.
  std::optional<Response> Upgrade(const Parser& parser, Request& request,
                                  const std::string& subprotocol);
  Awaitable<bool> SendContinue();
  Awaitable<Response> Answer(Request& request);
  void WatchForLeaving(const std::shared_ptr<Exchange>& exchange,
                       const std::shared_ptr<Pending>& pending);
  Awaitable<bool> Write(const Request& request, Response& response, bool keep);
  Awaitable<void> Linger();

  // Goes on with what has arrived, without a way through the scheduler.
  void ParseArrived(Parser& parser, boost::system::error_code& error);

  void Arm(std::chrono::milliseconds time);
  std::chrono::milliseconds TimeFor(std::chrono::milliseconds base, size_t bytes) const;

  Socket socket_;
  const std::string address_;
  ServerState& state_;
  OpenSockets::Slot slot_;
  SocketDeadline deadline_;
  boost::asio::steady_timer wake_;
  boost::beast::flat_buffer buffer_;
  std::chrono::steady_clock::time_point born_;
  bool idle_ = false;
  bool body_unread_ = false;  // the client may still be sending what nobody will read
};

}  // namespace emotion::gateway

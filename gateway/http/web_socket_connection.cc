#include "gateway/http/web_socket_connection.h"

#include <algorithm>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <span>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "common/log/log.h"
#include "gateway/http/flood_guard.h"
#include "gateway/http/incoming_message.h"

namespace emotion::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kReadChunk = 64 * 1024;

// Beast answers breaches of the protocol by itself; what it then sent.
std::optional<uint16_t> CodeSentFor(const error_code& error) {
  if (error == websocket::error::message_too_big) return close_code::kTooBig;
  if (error == websocket::error::bad_frame_payload) return close_code::kBadPayload;
  if (error.category() != websocket::make_error_code(websocket::error::closed).category()) {
    return std::nullopt;
  }
  return close_code::kProtocolError;
}

class WebSocketConnection final : public WebSocket,
                                  public OpenSocket,
                                  public std::enable_shared_from_this<WebSocketConnection> {
 public:
  WebSocketConnection(tcp::socket socket, OpenSockets::Slot slot, ServerState& state,
                      Request request)
      : stream_(std::move(socket)),
        slot_(std::move(slot)),
        state_(state),
        limits_(state.limits.web_socket),
        request_(std::make_unique<Request>(std::move(request))),
        tick_(stream_.get_executor()),
        flood_(limits_.messages_per_second, limits_.message_burst, steady_clock::now()),
        incoming_(limits_, state.body_bytes, state.limits.bodies_in_flight_bytes) {}

  void Start(const http::request<http::string_body>& head, const std::string& subprotocol);

  void Post(std::function<void()> work) override {
    asio::post(stream_.get_executor(),
               [self = shared_from_this(), work = std::move(work)] { work(); });
  }
  void Send(std::string text) override;
  void Close(uint16_t code, std::string_view reason) override;

  void BeginDrain() override {
    Post([this] { TellDrain(); });
  }
  void Shut() override {
    Post([this] { TellStop(); });
  }
  void Abort() override {
    Post([this] { Cut("aborted"); });
  }

 private:
  struct Queued {
    std::string text;
    steady_clock::time_point since;
  };

  void Accepted(const error_code& error);
  void RecordUnopened(int status, const Facts& facts);
  void TellDrain();
  void TellStop();

  void Read();
  void OnRead(const error_code& error, size_t bytes);
  void Take(size_t bytes);
  void Deliver();
  void OnControl(websocket::frame_type kind);

  void WriteNext();
  void OnWritten(const error_code& error);
  void StartClose();
  void Cut(std::string_view why);
  void Finish(SocketEnd end);

  void ScheduleTick(milliseconds after);
  void Tick();
  void Ping();
  milliseconds TickPeriod() const;
  milliseconds TimeFor(size_t bytes) const {
    return limits_.body_timeout + milliseconds(bytes * 1000 / state_.limits.least_bytes_per_second);
  }

  websocket::stream<tcp::socket, /*deflateSupported=*/false> stream_;
  OpenSockets::Slot slot_;
  ServerState& state_;
  const WebSocketLimits& limits_;
  std::unique_ptr<Request> request_;  // until the handler has it
  std::shared_ptr<WebSocketHandler>
      handler_;  // null before the handshake, after the end, over 1013
  asio::steady_timer tick_;
  FloodGuard flood_;
  bool counted_ = false;  // in ServerState::web_sockets
  bool told_drain_ = false;
  bool stopping_ = false;  // messages are read and thrown away

  IncomingMessage incoming_;

  std::list<Queued> queue_;  // the first is being written while `writing_`
  size_t queued_bytes_ = 0;
  bool writing_ = false;

  bool pinging_ = false;
  bool ping_unanswered_ = false;
  steady_clock::time_point last_ping_;

  bool closing_ = false;        // Close was called: nothing more is queued
  bool close_started_ = false;  // the close frame is on its way
  bool ended_ = false;
  steady_clock::time_point closing_since_;
  websocket::close_reason close_;
  std::string_view cut_;  // why the socket was cut off
};

void WebSocketConnection::Start(const http::request<http::string_body>& head,
                                const std::string& subprotocol) {
  slot_.Bind(weak_from_this());
  error_code ignored;
  stream_.next_layer().set_option(asio::socket_base::send_buffer_size(limits_.kernel_send_bytes),
                                  ignored);
  stream_.set_option(websocket::stream_base::timeout{.handshake_timeout = limits_.close_timeout,
                                                     .idle_timeout = websocket::stream_base::none(),
                                                     .keep_alive_pings = false});
  stream_.set_option(websocket::stream_base::decorator(
      [subprotocol, id = request_->request_id](websocket::response_type& response) {
        response.erase(http::field::server);
        response.set("X-Request-Id", id);
        if (!subprotocol.empty()) response.set(http::field::sec_websocket_protocol, subprotocol);
      }));
  stream_.read_message_max(std::max(limits_.text_bytes, limits_.binary_bytes) * 2);
  stream_.auto_fragment(false);
  stream_.text(true);
  stream_.control_callback(
      [this](websocket::frame_type kind, boost::beast::string_view) { OnControl(kind); });
  counted_ = state_.web_sockets.fetch_add(1) < limits_.sockets;
  if (!counted_) --state_.web_sockets;
  stream_.async_accept(
      head, [self = shared_from_this()](const error_code& error) { self->Accepted(error); });
}

void WebSocketConnection::RecordUnopened(int status, const Facts& facts) {
  Response response;
  response.status = status;
  response.facts = facts;
  state_.app.Record(*request_, response, steady_clock::now() - request_->started);
}

void WebSocketConnection::Accepted(const error_code& error) {
  stream_.set_option(websocket::stream_base::decorator([](websocket::response_type&) {}));
  if (error) {
    RecordUnopened(499, {.code = "CANCELLED", .reason = "CANCELLED"});
    return Finish({});
  }
  last_ping_ = steady_clock::now();
  ScheduleTick(TickPeriod());
  if (counted_) {
    handler_ = state_.app.OpenWebSocket(*request_, weak_from_this());
    if (!handler_) Close(close_code::kInternal, "nobody is there");
  } else {
    RecordUnopened(101, {.code = "RESOURCE_EXHAUSTED", .reason = "QUEUE_FULL", .refused = true});
    Close(close_code::kTryAgainLater, "too many sockets");
  }
  request_.reset();
  if (state_.draining) TellDrain();
  if (state_.stopping) TellStop();
  Read();
}

void WebSocketConnection::TellDrain() {
  if (!handler_ || told_drain_ || closing_) return;
  told_drain_ = true;
  handler_->OnDrain();
}

void WebSocketConnection::TellStop() {
  if (stopping_ || ended_) return;
  if (!handler_) return;  // not open yet: Accepted looks again; or closing already
  stopping_ = true;
  handler_->OnStop();
}

void WebSocketConnection::Read() {
  const std::span<char> room = incoming_.Room(stream_.read_size_hint(kReadChunk));
  stream_.async_read_some(asio::buffer(room.data(), room.size()),
                          [self = shared_from_this()](const error_code& error, size_t bytes) {
                            self->OnRead(error, bytes);
                          });
}

void WebSocketConnection::OnRead(const error_code& error, size_t bytes) {
  if (ended_ || close_started_) return;  // the close operation reads on by itself
  if (error == websocket::error::closed) {
    return Finish({.code = stream_.reason().code, .by = "client"});
  }
  if (error) {
    const auto code = CodeSentFor(error);
    return Finish(code ? SocketEnd{.code = *code, .by = "server"} : SocketEnd{});
  }
  try {
    Take(bytes);
  } catch (const std::exception& failure) {
    LogError("a message of a socket ended in an exception", {{"what", failure.what()}});
    Close(close_code::kInternal, "internal error");
  }
  if (!ended_ && !close_started_) Read();
}

void WebSocketConnection::Take(size_t bytes) {
  ping_unanswered_ = false;
  if ((closing_ || stopping_) && !incoming_.dropped()) {
    incoming_.Drop(WebSocketHandler::Dropped::kNoRoom);
  }
  switch (incoming_.Add(bytes, stream_.got_text(), steady_clock::now())) {
    case IncomingMessage::Verdict::kTextTooLarge:
      Close(close_code::kTooBig, "text has at most 16 KiB");
      break;
    case IncomingMessage::Verdict::kTextNoRoom:
      Close(close_code::kTryAgainLater, "too much in flight");
      break;
    case IncomingMessage::Verdict::kGoOn:
      break;
  }
  if (stream_.is_message_done()) Deliver();
}

void WebSocketConnection::Deliver() {
  IncomingMessage::Whole whole = incoming_.Take();
  if (closing_ || stopping_ || !handler_) return;
  if (!flood_.Take(steady_clock::now())) return Close(close_code::kPolicy, "too many messages");
  const std::shared_ptr<WebSocketHandler> handler = handler_;
  if (whole.dropped && stream_.got_text()) return;
  if (whole.dropped) {
    handler->OnDropped(*whole.dropped, whole.size);
  } else if (stream_.got_text()) {
    handler->OnText(whole.bytes);
  } else {
    handler->OnBinary(std::move(whole.bytes), std::move(whole.charge));
  }
}

// Beast runs this in the middle of a read, so nothing is started from here.
void WebSocketConnection::OnControl(websocket::frame_type kind) {
  ping_unanswered_ = false;
  if (kind == websocket::frame_type::close || flood_.Take(steady_clock::now())) return;
  Post([this] { Close(close_code::kPolicy, "too many messages"); });
}

void WebSocketConnection::Send(std::string text) {
  if (closing_ || ended_) return;
  queued_bytes_ += text.size();
  if (queued_bytes_ > limits_.queued_bytes) return Cut("slow_reader");
  queue_.push_back({std::move(text), steady_clock::now()});
  if (!writing_) WriteNext();
}

void WebSocketConnection::WriteNext() {
  writing_ = true;
  stream_.async_write(
      asio::buffer(queue_.front().text),
      [self = shared_from_this()](const error_code& error, size_t) { self->OnWritten(error); });
}

void WebSocketConnection::OnWritten(const error_code& error) {
  writing_ = false;
  queued_bytes_ -= queue_.front().text.size();
  queue_.pop_front();
  if (ended_) return;
  if (error) {
    // A close frame of the client may be why; the read knows, unless nobody reads any more.
    if (closing_) Finish({});
    return;
  }
  if (!queue_.empty()) return WriteNext();
  if (closing_) StartClose();
}

void WebSocketConnection::Close(uint16_t code, std::string_view reason) {
  if (closing_ || ended_) return;
  closing_ = true;
  closing_since_ = steady_clock::now();
  close_ = websocket::close_reason(static_cast<websocket::close_code>(code),
                                   boost::beast::string_view(reason.data(), reason.size()));
  ScheduleTick(limits_.close_timeout);
  if (!writing_) StartClose();
}

void WebSocketConnection::StartClose() {
  if (ended_ || close_started_) return;
  close_started_ = true;
  stream_.async_close(close_, [self = shared_from_this()](const error_code&) {
    self->Finish({.code = static_cast<uint16_t>(self->close_.code), .by = "server"});
  });
}

void WebSocketConnection::Cut(std::string_view why) {
  if (ended_) return;
  if (cut_.empty()) cut_ = why;
  closing_ = true;
  error_code ignored;
  tcp::socket& socket = stream_.next_layer();
  // Nobody takes what the kernel still holds.
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

void WebSocketConnection::Finish(SocketEnd end) {
  if (ended_) return;
  ended_ = true;
  // The close frame went out although the client then hung: that it was cut off matters less.
  if (!cut_.empty() && !close_started_) end = {.code = close_code::kAbnormal, .by = cut_};
  tick_.cancel();
  error_code ignored;
  stream_.next_layer().close(ignored);
  incoming_.Release();
  if (const auto handler = std::exchange(handler_, nullptr)) handler->OnClosed(end);
  if (counted_) --state_.web_sockets;
  slot_.Leave();
}

milliseconds WebSocketConnection::TickPeriod() const {
  const milliseconds least =
      std::min({limits_.ping_period, limits_.pong_timeout, limits_.queued_age});
  return std::max(least / 2, milliseconds(5));
}

void WebSocketConnection::ScheduleTick(milliseconds after) {
  tick_.expires_after(after);
  tick_.async_wait([weak = weak_from_this()](const error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->Tick();
  });
}

void WebSocketConnection::Tick() {
  if (ended_) return;
  const auto now = steady_clock::now();
  if (closing_) {
    if (now - closing_since_ >= limits_.close_timeout) return Cut("aborted");
    return ScheduleTick(limits_.close_timeout);
  }
  if (writing_ && now - queue_.front().since >= limits_.queued_age) return Cut("slow_reader");
  if (incoming_.begun() && now - incoming_.since() >= TimeFor(incoming_.size())) {
    return Close(close_code::kPolicy, "the message came too slowly");
  }
  if (ping_unanswered_ && now - last_ping_ >= limits_.pong_timeout) {
    return Close(close_code::kIdle, "no pong");
  }
  if (!pinging_ && !ping_unanswered_ && now - last_ping_ >= limits_.ping_period) Ping();
  ScheduleTick(TickPeriod());
}

void WebSocketConnection::Ping() {
  pinging_ = true;
  ping_unanswered_ = true;
  last_ping_ = steady_clock::now();
  stream_.async_ping({},
                     [self = shared_from_this()](const error_code&) { self->pinging_ = false; });
}

}  // namespace

void StartWebSocket(tcp::socket socket, OpenSockets::Slot slot, ServerState& state, Request request,
                    const http::request<http::string_body>& head, const std::string& subprotocol) {
  std::make_shared<WebSocketConnection>(std::move(socket), std::move(slot), state,
                                        std::move(request))
      ->Start(head, subprotocol);
}

}  // namespace emotion::gateway

#include "gateway/http/connection.h"

#include <algorithm>
#include <array>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "fmt/format.h"
#include "gateway/http/problem.h"
#include "gateway/http/response_head.h"
#include "gateway/http/target.h"
#include "gateway/http/web_socket_connection.h"

namespace emotion::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Most bytes of an unwanted body that are read and dropped after an early answer.
constexpr size_t kMaxLingerBytes = size_t{64} << 20;

// Enough for the header and the body of a webcam's frame.
constexpr size_t kFirstRead = 16 * 1024;

// Lets `co_await` give back an error instead of throwing it.
auto Into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

uint64_t UnixMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Copies what Beast read; false (with a reason) for what no request of ours looks like.
template <class Message>
const char* ReadHead(const Message& message, Request& request) {
  request.method = std::string(message.method_string());
  for (const auto& field : message) request.headers.Add(field.name_string(), field.value());
  const size_t hosts = request.headers.Count("Host");
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) return "needs exactly one Host";
  auto target = ParseTarget(message.target());
  if (!target) return "has a target that cannot be decoded";
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  return nullptr;
}

// The answer to a header that could not be read; nullopt: nobody is there to read one.
std::optional<Response> HeaderProblem(const error_code& error, bool expired, std::string_view id) {
  if (expired) return HttpProblem(408, "The header of the request took too long.", id);
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return HttpProblem(431, "The header of the request is too large.", id);
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message ||
      error.category() != http::make_error_code(http::error::bad_value).category()) {
    return std::nullopt;
  }
  return HttpProblem(400, "The request is not HTTP/1.1 as this server reads it.", id);
}

Response ClientLeft() {
  Response response;
  response.status = 499;
  response.facts = {.code = "CANCELLED", .reason = "CANCELLED"};
  return response;
}

Response BodyProblem(const error_code& error, bool expired, size_t limit, const Request& request) {
  if (expired) return HttpProblem(408, "The body arrived too slowly.", request.request_id);
  if (error == http::error::body_limit) {
    return HttpProblem(413, fmt::format("The body has over {} bytes.", limit), request.request_id);
  }
  return HttpProblem(400, "The body is damaged.", request.request_id);
}

}  // namespace

Connection::Connection(Socket socket, std::string address, ServerState& state,
                       OpenSockets::Slot slot)
    : socket_(std::move(socket)),
      address_(std::move(address)),
      state_(state),
      slot_(std::move(slot)),
      deadline_(socket_),
      wake_(socket_.get_executor()),
      buffer_(state.limits.header_bytes + 64 * 1024),
      born_(steady_clock::now()) {}

void Connection::Start() {
  slot_.Bind(weak_from_this());
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);  // for what is tried at once
  asio::co_spawn(
      socket_.get_executor(),
      [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->Run(); },
      [self = shared_from_this()](std::exception_ptr failure) {
        if (failure) LogError("a connection ended by an exception");
      });
}

void Connection::Shut() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    error_code error;
    // Bytes that have arrived are a request that was accepted: it is still answered.
    if (self->idle_ && self->socket_.available(error) == 0) self->socket_.cancel(error);
  });
}

void Connection::Abort() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    error_code error;
    self->socket_.close(error);
    self->wake_.cancel();
  });
}

void Connection::Arm(milliseconds time) { deadline_.Arm(time, shared_from_this()); }

milliseconds Connection::TimeFor(milliseconds base, size_t bytes) const {
  return base + milliseconds(bytes * 1000 / state_.limits.least_bytes_per_second);
}

void Connection::ParseArrived(Parser& parser, error_code& error) {
  buffer_.consume(parser.put(buffer_.data(), error));
  if (error == http::error::need_more) error.clear();
}

asio::awaitable<void> Connection::Run() {
  const HttpLimits& limits = state_.limits;
  bool more = true;
  for (int served = 0; more; ++served) {
    if (!co_await WaitForRequest(served == 0)) break;
    const bool last = served + 1 >= limits.requests_per_connection ||
                      steady_clock::now() - born_ > limits.connection_age;
    more = co_await ServeOne(last);
  }
  co_await Linger();
  deadline_.Stop();
}

asio::awaitable<bool> Connection::WaitForRequest(bool first) {
  if (buffer_.size() > 0) co_return true;
  error_code error;
  if (state_.stopping && socket_.available(error) == 0) co_return false;
  Arm(first ? state_.limits.header_timeout : state_.limits.idle_timeout);
  idle_ = true;
  size_t bytes = 0;
  do {
    co_await socket_.async_wait(Socket::wait_read, Into(error));
    if (!error) bytes = socket_.read_some(buffer_.prepare(kFirstRead), error);
  } while (error == asio::error::would_block && !state_.stopping);
  idle_ = false;
  deadline_.Disarm();
  buffer_.commit(bytes);
  co_return !error && bytes > 0;
}

asio::awaitable<bool> Connection::ServeOne(bool last) {
  Request request;
  request.remote_address = address_;
  request.request_id = MakeRequestId();
  request.started = steady_clock::now();
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(state_.limits.header_bytes));
  parser.body_limit(boost::none);  // checked below, where the route is known

  Arm(state_.limits.header_timeout);
  error_code error;
  ParseArrived(parser, error);
  if (!error && !parser.is_header_done()) {
    co_await http::async_read_header(socket_, buffer_, parser, Into(error));
  }
  const bool expired = deadline_.expired();
  deadline_.Disarm();
  request.accepted_at_us = UnixMicros();

  BodyCharge charge(state_.body_bytes);  // held until the answer is written
  std::optional<Response> response;
  const char* why = nullptr;
  if (error) {
    response = HeaderProblem(error, expired, request.request_id);
    if (!response) co_return false;
    body_unread_ = true;
  } else if (why = ReadHead(parser.get(), request); why != nullptr) {
    response = HttpProblem(400, fmt::format("The request {}.", why), request.request_id);
    body_unread_ = true;
  } else {
    const HttpApp::Admission admission = state_.app.Admit(request);
    if (admission.web_socket && !admission.refusal) {
      response = Upgrade(parser, request, *admission.web_socket);
      if (!response) co_return false;
    } else {
      response = co_await ReadBody(parser, admission, request, charge);
    }
  }

  const bool unread = body_unread_;
  if (!response) response = co_await Answer(request);
  const bool keep =
      !error && !unread && !last && parser.keep_alive() && !response->close && !state_.draining;
  if (response->status != 499) {
    state_.app.Finish(request, *response);
    if (!co_await Write(request, *response, keep)) response = ClientLeft();
  }
  state_.app.Record(request, *response, steady_clock::now() - request.started);
  co_return keep && response->status != 499;
}

asio::awaitable<std::optional<Response>> Connection::ReadBody(Parser& parser,
                                                              const HttpApp::Admission& admission,
                                                              Request& request,
                                                              BodyCharge& charge) {
  const HttpLimits& limits = state_.limits;
  const size_t announced = parser.content_length().value_or(0);
  const bool has_body = parser.chunked() || announced > 0;
  const auto expect = request.headers.Find("Expect");
  body_unread_ = has_body;
  if (admission.refusal) co_return admission.refusal;
  if (expect && !EqualsIgnoringCase(*expect, "100-continue")) {
    co_return HttpProblem(417, "Only 100-continue can be expected.", request.request_id);
  }
  if (announced > admission.body_limit) {
    co_return HttpProblem(413, fmt::format("The body has over {} bytes.", admission.body_limit),
                          request.request_id);
  }
  if (admission.body_required && !parser.content_length() && !parser.chunked()) {
    co_return HttpProblem(411, "The request needs a Content-Length.", request.request_id);
  }
  if (!has_body) co_return std::nullopt;
  if (expect && !co_await SendContinue()) {
    co_return HttpProblem(400, "The body cannot be asked for.", request.request_id);
  }

  parser.body_limit(admission.body_limit);
  const auto begin = steady_clock::now();
  while (!parser.is_done()) {
    const auto spent = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    Arm(TimeFor(limits.body_timeout, parser.get().body().size()) - spent);
    error_code error;
    const size_t arrived = buffer_.size();
    if (arrived > 0) ParseArrived(parser, error);
    if (!error && buffer_.size() == arrived) {  // it gives nothing more
      co_await http::async_read_some(socket_, buffer_, parser, Into(error));
    }
    const bool expired = deadline_.expired();
    deadline_.Disarm();
    if (error) co_return BodyProblem(error, expired, admission.body_limit, request);
    if (!charge.GrowTo(parser.get().body().size(), limits.bodies_in_flight_bytes)) {
      co_return HttpProblem(503, "Too many uploads at once.", request.request_id);
    }
  }
  body_unread_ = false;
  request.body = std::move(parser.get().body());
  co_return std::nullopt;
}

std::optional<Response> Connection::Upgrade(const Parser& parser, Request& request,
                                            const std::string& subprotocol) {
  // What comes before the answer was not asked for: RFC 6455 has the client wait.
  if (parser.chunked() || parser.content_length().value_or(0) > 0 || buffer_.size() > 0 ||
      parser.get().version() < 11) {
    body_unread_ = true;
    return HttpProblem(400, "A WebSocket request is HTTP/1.1, without anything behind its header.",
                       request.request_id);
  }
  StartWebSocket(std::move(socket_), std::move(slot_), state_, std::move(request), parser.get(),
                 subprotocol);
  return std::nullopt;
}

asio::awaitable<bool> Connection::SendContinue() {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  Arm(state_.limits.write_timeout);
  error_code error;
  co_await asio::async_write(socket_, asio::buffer(kContinue), Into(error));
  deadline_.Disarm();
  co_return !error;
}

asio::awaitable<Response> Connection::Answer(Request& request) {
  const auto pending = std::make_shared<Pending>();
  // The exchange owns a request of its own, with the body; the log still wants this one.
  std::string body = std::move(request.body);
  Request handed = request;
  handed.body = std::move(body);
  const auto exchange = std::make_shared<Exchange>(
      std::move(handed), [self = shared_from_this(), pending](Response response) {
        if (pending->handled_by == std::this_thread::get_id()) {
          pending->response = std::move(response);
          return;
        }
        asio::post(self->socket_.get_executor(),
                   [self, pending, response = std::move(response)]() mutable {
                     pending->response = std::move(response);
                     self->wake_.cancel();
                   });
      });
  pending->handled_by = std::this_thread::get_id();
  state_.app.Handle(exchange);
  pending->handled_by = std::thread::id();
  if (pending->response) co_return *std::move(pending->response);
  wake_.expires_after(state_.limits.handler_timeout);
  WatchForLeaving(exchange, pending);
  error_code error;  // none: the time is over; aborted: something happened
  co_await wake_.async_wait(Into(error));
  error_code ignored;
  socket_.cancel(ignored);  // ends the watch
  if (pending->response) co_return *std::move(pending->response);
  exchange->NotifyGone();
  if (error) co_return ClientLeft();
  Response late = Problem(Error(Reason::kDeadline, "no answer in time"), request.request_id);
  late.close = true;
  co_return late;
}

void Connection::WatchForLeaving(const std::shared_ptr<Exchange>& exchange,
                                 const std::shared_ptr<Pending>& pending) {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this(), exchange,
                                         pending](const error_code& error) {
    if (error || pending->response) return;
    char byte = 0;
    error_code peek;
    const size_t bytes = self->socket_.receive(asio::buffer(&byte, 1), Socket::message_peek, peek);
    // A wait may also end with what was read before it began.
    if (peek == asio::error::would_block) return self->WatchForLeaving(exchange, pending);
    // Bytes are the next request of a client that pipelines: it is there, and is watched no more.
    if (bytes > 0) return;
    self->wake_.cancel();
  });
}

asio::awaitable<bool> Connection::Write(const Request& request, Response& response, bool keep) {
  const std::string head = ResponseHead(response, keep);
  const bool with_body = request.method != "HEAD" && HasBody(response.status);
  const std::string_view body = with_body ? std::string_view(response.content()) : "";
  std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
  error_code error;
  const size_t sent = socket_.write_some(buffers, error);  // most answers go at once
  if (error == asio::error::would_block) error.clear();
  if (error || sent == head.size() + body.size()) co_return !error;
  buffers[1] += sent - std::min(sent, head.size());
  buffers[0] += sent;
  Arm(TimeFor(state_.limits.write_timeout, body.size()));
  co_await asio::async_write(socket_, buffers, Into(error));
  deadline_.Disarm();
  co_return !error;
}

asio::awaitable<void> Connection::Linger() {
  error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error || !body_unread_) co_return;
  Arm(state_.limits.linger_timeout);
  std::array<char, 16 * 1024> dropped;
  for (size_t total = 0; total < kMaxLingerBytes;) {
    const size_t bytes = co_await socket_.async_read_some(asio::buffer(dropped), Into(error));
    if (error || bytes == 0) break;
    total += bytes;
  }
}

}  // namespace emotion::gateway

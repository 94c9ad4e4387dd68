#include "bench/load/rest_link.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "bench/load/tcp_client.h"

namespace emotion::bench {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

// One connection: one request at a time. `done` is called exactly once per Ask, unless Close came
// first.
class RestConnection : public std::enable_shared_from_this<RestConnection> {
 public:
  using Done = std::function<void(const Answer&)>;

  RestConnection(asio::io_context& io, const LoadOptions& options, uint32_t source)
      : options_(options), source_(source), socket_(io) {}

  bool idle() const { return done_ == nullptr; }

  void Ask(std::string head, std::string image, Done done) {
    head_ = std::move(head);
    image_ = std::move(image);
    done_ = std::move(done);
    used_before_ = socket_.is_open();
    used_before_ ? Write() : Connect();
  }

  void Close() {
    done_ = nullptr;
    CloseSocket();
  }

 private:
  // Runs `next` unless the connection failed or was closed meanwhile.
  auto Then(void (RestConnection::*next)()) {
    return [self = shared_from_this(), next](error_code failed, size_t = 0) {
      if (self->done_ == nullptr) return;
      failed ? self->Fail() : (self.get()->*next)();
    };
  }

  void Connect() {
    buffer_.clear();
    if (BindTo(socket_, source_)) {
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Fail(); });
      return;
    }
    const asio::ip::tcp::endpoint server(asio::ip::make_address_v4(options_.host), options_.port);
    socket_.async_connect(server, Then(&RestConnection::Write));
  }

  void Write() {
    const std::array<asio::const_buffer, 2> request = {asio::buffer(head_), asio::buffer(image_)};
    asio::async_write(socket_, request, Then(&RestConnection::Read));
  }

  void Read() {
    parser_.emplace();
    parser_->body_limit(1 << 20);
    http::async_read(socket_, buffer_, *parser_, Then(&RestConnection::Finish));
  }

  void Finish() {
    const http::response<http::string_body>& response = parser_->get();
    if (!response.keep_alive()) CloseSocket();
    Tell(AnswerOfHttp(response.result_int(), response.body()));
  }

  // A connection that was kept may have been closed by the other side while idle: asking anew is
  // what every client does.
  void Fail() {
    if (done_ == nullptr) return;
    const bool began = parser_ && parser_->got_some();
    CloseSocket();
    if (std::exchange(used_before_, false) && !began) {
      Connect();
      return;
    }
    Tell(AnswerOfReason("CONNECTION"));
  }

  void Tell(const Answer& answer) {
    parser_.reset();
    const Done done = std::exchange(done_, nullptr);
    done(answer);
  }

  void CloseSocket() {
    error_code ignored;
    socket_.close(ignored);
  }

  const LoadOptions& options_;
  const uint32_t source_;
  TcpSocket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::string head_;
  std::string image_;
  Done done_;  // null: idle
  bool used_before_ = false;
};

class RestLink final : public Link, public std::enable_shared_from_this<RestLink> {
 public:
  RestLink(asio::io_context& io, const LoadOptions& options, const LinkIdentity& identity,
           LinkEvents& events)
      : io_(io),
        options_(options),
        identity_(identity),
        limit_(std::max<size_t>(1, options.max_connections / options.all_sessions())),
        events_(&events) {}

  void Open() override {
    asio::post(io_, [self = shared_from_this()] {
      if (self->events_ != nullptr) self->events_->OnReady();
    });
  }

  void Send(OutgoingFrame frame) override {
    if (Busy* busy = FreeConnection()) {
      Start(*busy, std::move(frame));
    } else {
      waiting_.push_back(std::move(frame));
    }
  }

  void Withdraw(uint64_t id) override {
    std::erase_if(waiting_, [id](const OutgoingFrame& frame) { return frame.id == id; });
    for (Busy& busy : connections_) {
      if (busy.frame != id) continue;
      busy.connection->Close();
      busy.frame = 0;
      StartWaiting();
      return;
    }
  }

  void Close() override {
    events_ = nullptr;
    for (Busy& busy : connections_) busy.connection->Close();
    connections_.clear();
    waiting_.clear();
  }

 private:
  struct Busy {
    std::shared_ptr<RestConnection> connection;
    uint64_t frame = 0;  // 0: idle
  };

  Busy* FreeConnection() {
    for (Busy& busy : connections_) {
      if (busy.frame == 0) return &busy;
    }
    if (connections_.size() >= limit_) return nullptr;
    return &connections_.emplace_back(
        Busy{std::make_shared<RestConnection>(io_, options_, SourceAddress(identity_.subject)), 0});
  }

  void Start(Busy& busy, OutgoingFrame frame) {
    busy.frame = frame.id;
    std::string head = fmt::format(
        "POST /v1/predict HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: image/jpeg\r\n"
        "X-Session-Id: {}\r\nX-Request-Timeout-Ms: {}\r\nContent-Length: {}\r\n\r\n",
        options_.host, options_.port, SessionName(identity_.session), frame.timeout.count(),
        frame.image.size());
    busy.connection->Ask(std::move(head), std::move(frame.image),
                         [self = shared_from_this(), id = frame.id](const Answer& answer) {
                           self->Answered(id, answer);
                         });
  }

  void Answered(uint64_t id, const Answer& answer) {
    for (Busy& busy : connections_) {
      if (busy.frame == id) busy.frame = 0;
    }
    if (events_ != nullptr) events_->OnAnswer(id, answer);
    StartWaiting();
  }

  void StartWaiting() {
    while (events_ != nullptr && !waiting_.empty()) {
      Busy* busy = FreeConnection();
      if (busy == nullptr) return;
      OutgoingFrame frame = std::move(waiting_.front());
      waiting_.pop_front();
      Start(*busy, std::move(frame));
    }
  }

  asio::io_context& io_;
  const LoadOptions& options_;
  const LinkIdentity identity_;
  const size_t limit_;
  LinkEvents* events_;  // null once closed
  std::vector<Busy> connections_;
  std::deque<OutgoingFrame> waiting_;
};

}  // namespace

LinkFactory RestLinks(asio::io_context& io, const LoadOptions& options) {
  return [&io, &options](const LinkIdentity& identity, LinkEvents& events) {
    return std::make_shared<RestLink>(io, options, identity, events);
  };
}

}  // namespace emotion::bench

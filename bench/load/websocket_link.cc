#include "bench/load/websocket_link.h"

#include <deque>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <fmt/format.h>

#include "bench/load/tcp_client.h"

namespace emotion::bench {
namespace {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::beast::flat_buffer;
using boost::system::error_code;

constexpr size_t kLargestMessage = 64 * 1024;
constexpr size_t kWriteBuffer = 8 * 1024;  // a frame in one piece

struct Message {
  bool binary = false;
  std::string bytes;
};

class WebSocketLink final : public Link, public std::enable_shared_from_this<WebSocketLink> {
 public:
  WebSocketLink(asio::io_context& io, const LoadOptions& options, const LinkIdentity& identity,
                LinkEvents& events)
      : options_(options), identity_(identity), events_(&events), socket_(io) {}

  void Open() override {
    error_code error = BindTo(socket_.next_layer(), SourceAddress(identity_.subject));
    if (error) {
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Lose(); });
      return;
    }
    const asio::ip::tcp::endpoint server(asio::ip::make_address_v4(options_.host), options_.port);
    socket_.next_layer().async_connect(server, [self = shared_from_this()](error_code failed) {
      failed ? self->Lose() : self->Shake();
    });
  }

  void Send(OutgoingFrame frame) override {
    if (!options_.lone_binary) Write({false, FrameText(frame.id)});
    Write({true, std::move(frame.image)});
  }

  void Withdraw(uint64_t) override {}  // there is no such message

  void Close() override {
    events_ = nullptr;
    error_code ignored;
    socket_.next_layer().close(ignored);
  }

 private:
  static std::string FrameText(uint64_t id) {
    return fmt::format("{{\"type\":\"frame\",\"id\":{}}}", id);
  }

  void Shake() {
    websocket::permessage_deflate off;
    off.client_enable = false;
    socket_.set_option(off);
    socket_.set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
      request.set(boost::beast::http::field::sec_websocket_protocol, "emotion.v1");
    }));
    socket_.read_message_max(kLargestMessage);
    socket_.write_buffer_bytes(kWriteBuffer);
    socket_.secure_prng(false);
    const std::string host = fmt::format("{}:{}", options_.host, options_.port);
    socket_.async_handshake(host, "/v1/stream", [self = shared_from_this()](error_code failed) {
      failed ? self->Lose() : self->Greet();
    });
  }

  void Greet() {
    Write({false, fmt::format("{{\"type\":\"start\",\"session_id\":\"{}\",\"detect\":\"off\"}}",
                              SessionName(identity_.session))});
    Read();
  }

  void Read() {
    socket_.async_read(buffer_, [self = shared_from_this()](error_code failed, size_t) {
      if (failed) {
        self->Lose();
        return;
      }
      const auto bytes = self->buffer_.cdata();
      self->Take({static_cast<const char*>(bytes.data()), bytes.size()});
      self->buffer_.consume(bytes.size());
      if (self->events_ != nullptr) self->Read();
    });
  }

  void Take(std::string_view json) {
    const SocketMessage message = ReadSocketMessage(json);
    if (events_ == nullptr) return;
    if (message.kind == SocketMessage::Kind::kReady && !std::exchange(ready_, true)) {
      events_->OnReady();
    } else if (message.kind == SocketMessage::Kind::kAnswer) {
      events_->OnAnswer(message.id, message.answer);
    }
  }

  void Write(Message message) {
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) WriteNext();
  }

  void WriteNext() {
    socket_.binary(queue_.front().binary);
    socket_.async_write(asio::buffer(queue_.front().bytes),
                        [self = shared_from_this()](error_code failed, size_t) {
                          if (failed) {
                            self->Lose();
                            return;
                          }
                          self->queue_.pop_front();
                          if (!self->queue_.empty()) self->WriteNext();
                        });
  }

  void Lose() {
    LinkEvents* events = std::exchange(events_, nullptr);
    error_code ignored;
    socket_.next_layer().close(ignored);
    if (events != nullptr) events->OnLost();
  }

  const LoadOptions& options_;
  const LinkIdentity identity_;
  LinkEvents* events_;  // null once closed or lost
  websocket::stream<TcpSocket, false> socket_;
  flat_buffer buffer_;
  std::deque<Message> queue_;  // the front is being written
  bool ready_ = false;
};

}  // namespace

LinkFactory WebSocketLinks(asio::io_context& io, const LoadOptions& options) {
  return [&io, &options](const LinkIdentity& identity, LinkEvents& events) {
    return std::make_shared<WebSocketLink>(io, options, identity, events);
  };
}

}  // namespace emotion::bench

#include "common/observe/admin_server.h"

#include <charconv>
#include <chrono>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "common/error/error.h"
#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using HttpRequest = http::request<http::empty_body>;
using HttpResponse = http::response<http::string_body>;

constexpr int kMaxConnections = 16;
constexpr std::chrono::seconds kRequestTimeout{5};
constexpr uint32_t kMaxHeaderBytes = 8 * 1024;
constexpr std::chrono::milliseconds kAcceptPause{200};

absl::StatusOr<tcp::endpoint> ParseListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") host = "127.0.0.1";
  uint16_t port = 0;
  const char* const end = listen.data() + listen.size();
  const char* const begin = colon == std::string::npos ? end : listen.data() + colon + 1;
  const auto [stop, error] = std::from_chars(begin, end, port);
  beast::error_code code;
  const auto address = asio::ip::make_address(host, code);
  if (code || begin == end || error != std::errc() || stop != end) {
    return FieldError("METRICS_LISTEN", fmt::format("must be an IP address and port such as "
                                                    "127.0.0.1:9101; was '{}'",
                                                    CleanUtf8(listen, 100)));
  }
  return tcp::endpoint(address, port);
}

// What both kinds of process share: the answer to one request.
HttpResponse Answer(const HttpRequest& request, const Metrics& metrics,
                    const std::function<bool()>& ready) {
  HttpResponse response;
  response.version(request.version());
  response.keep_alive(false);
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  response.set(http::field::cache_control, "no-store");
  const auto target = request.target();
  const std::string_view path =
      std::string_view(target.data(), target.size()).substr(0, target.find('?'));
  const bool known = path == "/metrics" || path == "/health/live" || path == "/health/ready";
  if (!known) {
    response.result(http::status::not_found);
    response.body() = "not found: /metrics, /health/live, /health/ready\n";
  } else if (request.method() != http::verb::get && request.method() != http::verb::head) {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET, HEAD");
  } else if (path == "/metrics") {
    response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    response.body() = metrics.Text();
  } else if (path == "/health/ready" && ready && !ready()) {
    response.result(http::status::service_unavailable);
    response.body() = "not ready\n";
  } else {
    response.body() = "ok\n";
  }
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

// One connection, one request.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Answerer = std::function<HttpResponse(const HttpRequest&)>;

  Connection(tcp::socket socket, const Answerer& answerer, std::shared_ptr<void> permit)
      : stream_(std::move(socket)), answerer_(answerer), permit_(std::move(permit)) {
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(0);
  }

  void Start() {
    stream_.expires_after(kRequestTimeout);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->Respond();
                     });
  }

 private:
  void Respond() {
    response_ = answerer_(parser_.get());
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code, size_t) {
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{kMaxHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  HttpResponse response_;
  const Answerer& answerer_;
  const std::shared_ptr<void> permit_;  // counts this connection while it lives
};

}  // namespace

class AdminServer::Impl {
 public:
  Impl(Options options, const Metrics& metrics)
      : answerer_([ready = std::move(options.ready), &metrics](const HttpRequest& request) {
          return Answer(request, metrics, ready);
        }),
        acceptor_(context_),
        pause_(context_) {}

  ~Impl() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const tcp::endpoint& endpoint) {
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      const std::string text =
          fmt::format("METRICS_LISTEN: cannot listen on {}:{}: {}", endpoint.address().to_string(),
                      endpoint.port(), error.message());
      return absl::UnavailableError({text.data(), text.size()});
    }
    port_ = acceptor_.local_endpoint().port();
    Accept();
    thread_ = std::thread([this] { context_.run(); });
    return absl::OkStatus();
  }

  int port() const { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error) return AcceptLater();  // out of file descriptors, most likely
      if (connections_ < kMaxConnections) {
        ++connections_;
        const std::shared_ptr<void> permit(nullptr, [this](void*) { --connections_; });
        std::make_shared<Connection>(std::move(socket), answerer_, permit)->Start();
      }
      Accept();
    });
  }

  void AcceptLater() {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](beast::error_code error) {
      if (!error) Accept();
    });
  }

  const Connection::Answerer answerer_;
  int connections_ = 0;  // used by the thread only; and by the context's end, after it
  int port_ = 0;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(Options options,
                                                                const Metrics& metrics) {
  const absl::StatusOr<tcp::endpoint> endpoint = ParseListen(options.listen);
  if (!endpoint.ok()) return endpoint.status();
  auto impl = std::make_unique<Impl>(std::move(options), metrics);
  if (absl::Status status = impl->Listen(*endpoint); !status.ok()) return status;
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() = default;

int AdminServer::port() const { return impl_->port(); }

}  // namespace emotion

#include "gateway/http/http_server.h"

#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/resource.h>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/sync/mutex.h"
#include "fmt/format.h"
#include "gateway/http/address.h"
#include "gateway/http/connection.h"

namespace emotion::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptBackOff{50};

// Descriptors are shared with gRPC's channels and files: connections get at most nine tenths of
// them, and leave 64. The soft limit is raised to the hard one first: shells start programs with
// 1024.
size_t ConnectionsWithin(size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t others = std::max<rlim_t>(limit.rlim_cur / 10, 64);
  return std::min<size_t>(wanted, limit.rlim_cur > others + 8 ? limit.rlim_cur - others : 8);
}

HttpLimits LimitsWithin(HttpLimits limits) {
  limits.connections = ConnectionsWithin(limits.connections);
  // A server full of sockets still answers requests.
  limits.web_socket.sockets = std::min(limits.web_socket.sockets, limits.connections * 4 / 5);
  return limits;
}

std::string AddressOf(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return "";
  const asio::ip::address address = peer.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context& io, const std::string& host,
                                      uint16_t port) {
  error_code error;
  tcp::resolver resolver(io);
  const auto results = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || results.empty()) {
    const std::string message = fmt::format("API_HOST {}: {}", host, error.message());
    return absl::FailedPreconditionError(message);
  }
  return results.begin()->endpoint();
}

absl::Status Open(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return absl::OkStatus();
  const std::string message =
      fmt::format("cannot listen on {}:{}: {}", endpoint.address().to_string(), endpoint.port(),
                  error.message());
  return absl::FailedPreconditionError(message);
}

// Best effort, without waiting: the socket's buffer is empty and takes so little at once.
void RefuseConnection(tcp::socket& socket) {
  constexpr std::string_view kBusy =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
      "Connection: close\r\n\r\n";
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.send(asio::buffer(kBusy), 0, ignored);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const Options& options, HttpApp& app)
      : options_(options),
        state_{.app = app, .limits = LimitsWithin(options_.limits)},
        sockets_(state_.limits.connections, state_.limits.connections_per_address),
        io_(options_.threads),
        acceptor_(asio::make_strand(io_)),
        retry_(acceptor_.get_executor()) {}

  absl::Status Start() {
    const absl::StatusOr<tcp::endpoint> endpoint = Resolve(io_, options_.host, options_.port);
    if (!endpoint.ok()) return endpoint.status();
    if (absl::Status status = Open(acceptor_, *endpoint); !status.ok()) return status;
    port_ = acceptor_.local_endpoint().port();
    asio::co_spawn(
        acceptor_.get_executor(), [this] { return AcceptLoop(); }, asio::detached);
    for (int i = 0; i < options_.threads; ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
    return absl::OkStatus();
  }

  int port() const { return port_; }

  size_t connections() const { return sockets_.size(); }

  void BeginDrain() {
    if (state_.draining.exchange(true)) return;
    sockets_.ForEach([](OpenSocket& socket) { socket.BeginDrain(); });
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    if (state_.stopping.exchange(true)) return;
    BeginDrain();
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      TakeBacklog();
      acceptor_.close(ignored);
      retry_.cancel();
    });
    WaitForAcceptor();
    sockets_.ForEach([](OpenSocket& socket) { socket.Shut(); });
    if (!sockets_.WaitForNone(deadline)) {
      sockets_.ForEach([](OpenSocket& socket) { socket.Abort(); });
      sockets_.WaitForNone(std::chrono::steady_clock::now() + std::chrono::seconds(1));
    }
  }

  void Join() {
    io_.stop();
    threads_.clear();
  }

 private:
  asio::awaitable<void> AcceptLoop() {
    while (acceptor_.is_open()) {
      error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(
          asio::make_strand(io_), asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        Admit(std::move(socket));
      } else if (acceptor_.is_open()) {
        // Out of descriptors or memory: others must free some first. Never a reason to go deaf.
        LogWarning("cannot accept a connection", {{"error", error.message()}});
        retry_.expires_after(kAcceptBackOff);
        co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
    }
    MutexLock lock(mutex_);
    accepting_ = false;
    changed_.NotifyAll();
  }

  // Whom the kernel let in has been accepted, and may have sent a request: no reset for them.
  void TakeBacklog() {
    error_code error;
    acceptor_.non_blocking(true, error);
    for (int i = 0; i < tcp::socket::max_listen_connections && !error; ++i) {
      tcp::socket socket(asio::make_strand(io_));
      acceptor_.accept(socket, error);
      if (!error) Admit(std::move(socket));
    }
  }

  void Admit(tcp::socket socket) {
    const std::string address = AddressOf(socket);
    auto slot = address.empty() ? std::nullopt : sockets_.Enter(AddressGroup(address));
    if (!slot) return RefuseConnection(socket);
    std::make_shared<Connection>(std::move(socket), address, state_, *std::move(slot))->Start();
  }

  void WaitForAcceptor() {
    MutexLock lock(mutex_);
    while (accepting_) changed_.Wait(mutex_);
  }

  const Options options_;
  ServerState state_;
  OpenSockets sockets_;
  int port_ = 0;

  Mutex mutex_;
  CondVar changed_;
  bool accepting_ GUARDED_BY(mutex_) = true;

  // Destroyed before what stands above: connections that are left report to it.
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::vector<std::jthread> threads_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  Stop(std::chrono::steady_clock::now());
  impl_->Join();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, HttpApp& app) {
  auto impl = std::make_unique<Impl>(options, app);
  if (absl::Status status = impl->Start(); !status.ok()) return status;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const { return impl_->port(); }
size_t HttpServer::connections() const { return impl_->connections(); }
void HttpServer::BeginDrain() { impl_->BeginDrain(); }
void HttpServer::Stop(std::chrono::steady_clock::time_point deadline) { impl_->Stop(deadline); }

}  // namespace emotion::gateway

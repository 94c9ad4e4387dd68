#include "common/redis/connection.h"

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/redis/socket_wait.h"
#include "fmt/format.h"

namespace emotion {
namespace {

using std::chrono::steady_clock;

// What a thread that the system let wait may still read after its time is over; a server that
// trickles gets no more than this.
constexpr std::chrono::milliseconds kGrace{2};

absl::Status SystemError(std::string_view what, int error) {
  return absl::UnavailableError(
      fmt::format("{}: {}", what, std::generic_category().message(error)));
}

absl::Status Late() { return absl::DeadlineExceededError("no answer of the server in time"); }
absl::Status Stopped() { return absl::UnavailableError("the client is stopping"); }

// The socket, once it is connected.
absl::StatusOr<int> ConnectTo(const SocketAddress& address, Connection::TimePoint deadline,
                              int stop) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("socket", errno);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // a unix socket refuses: no matter
  int error = 0;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    error = errno;
  }
  absl::Status status;
  if (error == EINPROGRESS) {
    const Waited waited = WaitUntil({.socket = fd, .events = POLLOUT, .stop = stop}, deadline);
    socklen_t size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (waited == Waited::kStopped) status = Stopped();
    if (waited == Waited::kTimeout) status = absl::DeadlineExceededError("connect took too long");
  }
  if (status.ok() && error != 0) status = SystemError("connect", error);
  if (status.ok()) return fd;
  close(fd);
  return status;
}

std::string RandomPrefix() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}-", random(), random());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(
    std::span<const SocketAddress> addresses, TimePoint deadline, int stop, ReplyLimits limits) {
  absl::Status last = absl::UnavailableError("no address");
  for (size_t i = 0; i < addresses.size(); ++i) {
    const TimePoint now = steady_clock::now();
    const auto share = (deadline - now) / static_cast<int64_t>(addresses.size() - i);
    absl::StatusOr<int> socket = ConnectTo(addresses[i], now + share, stop);
    if (socket.ok()) return std::unique_ptr<Connection>(new Connection(*socket, stop, limits));
    last = socket.status();
  }
  return last;
}

Connection::Connection(int socket, int stop, ReplyLimits limits)
    : socket_(socket), stop_(stop), number_prefix_(RandomPrefix()), reader_(limits) {}

Connection::~Connection() { close(socket_); }

absl::StatusOr<std::vector<RedisReply>> Connection::Exchange(std::span<const RedisCommand> commands,
                                                             TimePoint deadline) {
  std::string bytes;
  for (const RedisCommand& command : commands) AppendCommand(command, bytes);
  return Exchange(std::move(bytes), commands.size(), deadline);
}

absl::StatusOr<std::vector<RedisReply>> Connection::Exchange(std::string commands, size_t count,
                                                             TimePoint deadline) {
  if (absl::Status quiet = CheckQuiet(); !quiet.ok()) return quiet;
  const std::string number = fmt::format("{}{}", number_prefix_, ++exchanges_);
  AppendCommand({"PING", number}, commands);
  std::string_view unsent = commands;
  std::vector<RedisReply> replies;
  replies.reserve(count + 1);
  while (replies.size() <= count) {
    if (absl::Status sent = Send(unsent); !sent.ok()) return sent;
    const auto events = static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT);
    switch (WaitUntil({.socket = socket_, .events = events, .stop = stop_}, deadline)) {
      case Waited::kStopped:
        return Stopped();
      case Waited::kTimeout:
        return Late();
      default:
        break;
    }
    if (absl::Status got = Receive(replies, count + 1); !got.ok()) return got;
    if (replies.size() <= count && steady_clock::now() > deadline + kGrace) return Late();
  }
  RedisReply pong = std::move(replies.back());
  replies.pop_back();
  // A server that cannot serve says so to PING, too; the commands' own replies tell it then, or:
  if (pong.kind == RedisReply::Kind::kError && MeansServerFailure(pong)) {
    if (replies.empty()) return absl::UnavailableError(pong.text);
    return replies;
  }
  if (pong.text != number) return absl::DataLossError("replies out of step with the commands");
  return replies;
}

// Whatever came since the last exchange belongs to nobody.
absl::Status Connection::CheckQuiet() {
  char byte = 0;
  const ssize_t size = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (size > 0 || reader_.HasRest()) return absl::DataLossError("bytes that nobody asked for");
  if (size == 0) return absl::UnavailableError("the server closed the connection");
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return absl::OkStatus();
  return SystemError("recv", errno);
}

absl::Status Connection::Send(std::string_view& bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (sent < 0) return SystemError("send", errno);
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

// Takes what is there, at most one buffer full.
absl::Status Connection::Receive(std::vector<RedisReply>& replies, size_t most) {
  const ssize_t size = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (size == 0) return absl::UnavailableError("the server closed the connection");
  if (size < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return absl::OkStatus();
    return SystemError("recv", errno);
  }
  reader_.Feed({buffer_.data(), static_cast<size_t>(size)});
  for (;;) {
    absl::StatusOr<std::optional<RedisReply>> reply = reader_.Next();
    if (!reply.ok()) return reply.status();
    if (!reply->has_value()) return absl::OkStatus();
    if (replies.size() == most) return absl::DataLossError("more replies than commands");
    replies.push_back(*std::move(*reply));
  }
}

}  // namespace emotion

#include "common/redis/redis_worker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <poll.h>

#include "fmt/format.h"

namespace emotion {
namespace {

using std::chrono::steady_clock;

constexpr size_t kLongestErrorShown = 200;

// The first of the replies that says that the server cannot serve, as an error; else OK.
absl::Status ServerFailure(const std::vector<RedisReply>& replies) {
  const auto failure = std::find_if(replies.begin(), replies.end(), MeansServerFailure);
  if (failure == replies.end()) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("Redis cannot serve: {}", failure->text.substr(0, kLongestErrorShown)));
}

// Answers the calls with their parts of the replies, in order.
void Answer(const std::vector<RedisCall>& calls, std::vector<RedisReply> replies) {
  auto next = replies.begin();
  for (const RedisCall& call : calls) {
    const auto end = next + static_cast<std::ptrdiff_t>(call.commands.size());
    std::vector<RedisReply> own(std::make_move_iterator(next), std::make_move_iterator(end));
    next = end;
    if (absl::Status failure = ServerFailure(own); failure.ok()) {
      call.done(std::move(own));
    } else {
      call.done(failure);
    }
  }
}

}  // namespace

RedisWorker::RedisWorker(size_t index, const RedisOptions& options, RedisDispatch& dispatch)
    : index_(index),
      options_(options),
      dispatch_(dispatch),
      addresses_(options.host, options.port) {}

void RedisWorker::Run() {
  while (connection_ == nullptr ? Connect() : Serve()) {
  }
  Drop(absl::UnavailableError("the Redis client is stopping"));
}

bool RedisWorker::Connect() {
  const RedisDispatch::Attempt attempt = dispatch_.NextAttempt(index_);
  if (!attempt.now) {
    const SocketWait wait = {.wake = dispatch_.wake_fd(index_), .stop = dispatch_.stop_fd()};
    const Waited waited = WaitUntil(wait, attempt.at);
    if (waited == Waited::kWoken) dispatch_.ClearWake(index_);
    return waited != Waited::kStopped;
  }
  absl::StatusOr<std::unique_ptr<Connection>> opened = OpenAndLogIn();
  if (opened.ok()) {
    connection_ = *std::move(opened);
    dispatch_.Connected(index_, attempt.probe);
  } else {
    dispatch_.ConnectFailed(index_, attempt.probe, opened.status());
  }
  return WaitUntil({.stop = dispatch_.stop_fd()}, {}) != Waited::kStopped;
}

absl::StatusOr<std::unique_ptr<Connection>> RedisWorker::OpenAndLogIn() {
  const TimePoint deadline = steady_clock::now() + options_.connect_limit;
  const auto addresses = addresses_.Find(deadline, dispatch_.stop_fd());
  if (!addresses.ok()) return addresses.status();
  auto connection = Connection::Open(
      *addresses, deadline, dispatch_.stop_fd(),
      {.max_bytes = options_.max_reply_bytes, .max_elements = options_.max_reply_elements});
  if (!connection.ok()) return connection.status();
  if (absl::Status status = LogIn(**connection, deadline); !status.ok()) return status;
  // A server that is slower than calls can wait must not count as back.
  const auto alive = (*connection)->Exchange({}, steady_clock::now() + options_.limit);
  if (!alive.ok()) return alive.status();
  return connection;
}

absl::Status RedisWorker::LogIn(Connection& connection, TimePoint deadline) {
  absl::StatusOr<std::string> password = std::string();
  if (options_.password) password = options_.password();
  if (!password.ok()) return password.status();
  std::vector<RedisCommand> commands;
  const bool auth = !password->empty() || !options_.username.empty();
  if (auth) {
    commands.push_back({"AUTH"});
    if (!options_.username.empty()) commands.back().push_back(options_.username);
    commands.back().push_back(*password);
  }
  if (!options_.client_name.empty()) {
    commands.push_back({"CLIENT", "SETNAME", options_.client_name});  // may be forbidden: no matter
  }
  const auto replies = connection.Exchange(commands, deadline);
  if (!replies.ok()) return replies.status();
  if (auth && replies->front().kind != RedisReply::Kind::kStatus) {
    return absl::UnavailableError(fmt::format("Redis refuses the login: {}",
                                              replies->front().text.substr(0, kLongestErrorShown)));
  }
  return absl::OkStatus();
}

bool RedisWorker::Serve() {
  std::optional<std::vector<RedisCall>> calls = dispatch_.Take(index_);
  if (!calls.has_value()) {
    Drop(absl::UnavailableError("Redis is left alone after failures"));
  } else if (calls->empty()) {
    return WaitForCalls();
  } else {
    Exchange(*std::move(calls));
  }
  return WaitUntil({.stop = dispatch_.stop_fd()}, {}) != Waited::kStopped;
}

bool RedisWorker::WaitForCalls() {
  const SocketWait wait = {.socket = connection_->socket(),
                           .events = POLLIN,
                           .wake = dispatch_.wake_fd(index_),
                           .stop = dispatch_.stop_fd()};
  const Waited waited = WaitUntil(wait, steady_clock::now() + options_.idle_check);
  if (waited == Waited::kStopped) return false;
  if (waited == Waited::kWoken) {
    dispatch_.ClearWake(index_);
    return true;
  }
  // Asks whether the server lives. Where the socket ended the wait this finds bytes that nobody
  // asked for, or the end of the connection, which is no failure: servers close what is idle, or
  // move.
  const auto alive = connection_->Exchange({}, steady_clock::now() + options_.limit);
  const bool closed = waited == Waited::kSocket && absl::IsUnavailable(alive.status());
  if (!closed) dispatch_.Finished(index_, alive.status());
  if (!alive.ok()) Drop(alive.status());
  return true;
}

void RedisWorker::Exchange(std::vector<RedisCall> calls) {
  // One that had to wait for its turn so long that the server has hardly a chance is not sent:
  // dropping the connection over it would blame the server for our queue.
  const TimePoint soon = steady_clock::now() + options_.limit / 4;
  const auto late = std::stable_partition(
      calls.begin(), calls.end(), [&](const RedisCall& call) { return call.deadline > soon; });
  for (auto call = late; call != calls.end(); ++call) {
    call->done(absl::DeadlineExceededError("the Redis client was busy for too long"));
  }
  calls.erase(late, calls.end());
  if (calls.empty()) return;

  std::string bytes;
  size_t commands = 0;
  for (const RedisCall& call : calls) {
    for (const RedisCommand& command : call.commands) AppendCommand(command, bytes);
    commands += call.commands.size();
  }
  // The first to come is the first to run out of time.
  auto replies = connection_->Exchange(std::move(bytes), commands, calls.front().deadline);
  const absl::Status result = replies.ok() ? ServerFailure(*replies) : replies.status();
  dispatch_.Finished(index_, result);
  if (!result.ok()) Drop(result);
  if (replies.ok()) return Answer(calls, *std::move(replies));
  for (const RedisCall& call : calls) call.done(replies.status());
}

void RedisWorker::Drop(const absl::Status& why) {
  if (connection_ == nullptr) return;
  connection_ = nullptr;
  dispatch_.Lost(index_, why);
}

}  // namespace emotion

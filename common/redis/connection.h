// One connection to a Redis server: a socket on which commands go out together and their replies
// come back in order, within a time limit that no server can stretch.
//
// Any error ends it: the caller destroys it and opens another, because a reply that comes late
// would answer the next command. Behind every exchange goes a PING with a number of its own, and
// replies count only once that number is back: a reply that was lost, repeated or left over on the
// way is noticed before anybody sees it.
//
// Used by one thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/redis/address_lookup.h"
#include "common/redis/redis_reply.h"
#include "common/redis/reply_reader.h"

namespace emotion {

class Connection {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Tries the addresses in turn, each with its share of the time. `stop`, here and below: a file
  // descriptor that becomes readable when all waiting must end; it must outlive the connection.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(std::span<const SocketAddress> addresses,
                                                          TimePoint deadline, int stop,
                                                          ReplyLimits limits);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One reply per command, in their order; none for no commands, which asks whether the server
  // lives. Replies may be errors of the server. Else DEADLINE_EXCEEDED, UNAVAILABLE (the connection
  // ended, `stop`), DATA_LOSS (no protocol, beyond the limits, out of step).
  absl::StatusOr<std::vector<RedisReply>> Exchange(std::span<const RedisCommand> commands,
                                                   TimePoint deadline);
  // The same for commands that are in their form for sending already; `count` of them.
  absl::StatusOr<std::vector<RedisReply>> Exchange(std::string commands, size_t count,
                                                   TimePoint deadline);

  // Readable while nothing is asked: the server hung up, or speaks unasked.
  int socket() const { return socket_; }

 private:
  Connection(int socket, int stop, ReplyLimits limits);

  absl::Status CheckQuiet();
  absl::Status Send(std::string_view& bytes);
  absl::Status Receive(std::vector<RedisReply>& replies, size_t most);

  const int socket_;
  const int stop_;
  const std::string number_prefix_;
  uint64_t exchanges_ = 0;
  ReplyReader reader_;
  std::array<char, 16 * 1024> buffer_;
};

}  // namespace emotion

// A client of one Redis server (or of what stands in front of several) for work that must never
// wait for it: a cache.
//
//   auto client = RedisClient::Create({.host = "cache", .password = ...}, metrics);
//   client->Run({{"GET", key}, {"LRANGE", lane, "0", "-1"}},
//               [](absl::StatusOr<std::vector<RedisReply>> replies) { ... });
//
// Run() never blocks, and every call is answered exactly once, within `limit` and a few
// milliseconds, however hung the server is. A few threads, one connection each, take what waits and
// send it together; replies come in order on such a thread. What is known at once (not connected,
// breaker open, queue full) is answered inside Run(), on the caller's thread.
//
// Any error drops the connection, since a late reply would answer the next command, and connecting
// again happens in the background, never while a call waits: not connected, calls fail at once.
// Names are looked up anew each time, and the password is asked for anew (it may have changed). A
// circuit breaker (circuit_breaker.h) leaves a failing server alone and looks after it with PING at
// most a second later. Server failures are errors like LOADING, READONLY, OOM, NOAUTH or MOVED,
// too.
//
// No TLS: hiredis of Debian 12 (0.14) has none. Use a unix socket, or a TLS proxy (stunnel, a
// sidecar) on this machine. No cluster routing: keys of one call share one hash tag, and MOVED is a
// failure. An ACL user needs +ping besides the commands of the calls.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/observe/metrics.h"
#include "common/redis/circuit_breaker.h"
#include "common/redis/redis_reply.h"
#include "common/redis/reply_reader.h"

namespace emotion {

struct RedisOptions {
  // Of one server: where a name has several addresses, all must lead to it. Starts with /: the path
  // of a unix socket.
  std::string host = "localhost";
  uint16_t port = 6379;
  std::string username = {};  // of the ACL; empty: the default user
  // Asked on a thread of the client each time it connects; unset or empty: no password.
  std::function<absl::StatusOr<std::string>()> password = {};
  std::string client_name = "emotion";  // in CLIENT LIST; without spaces; empty: none

  size_t connections = 2;               // and threads, 1 to 16; more only if one is seen to be full
  std::chrono::milliseconds limit{20};  // of a call, from Run() to its answer
  std::chrono::milliseconds connect_limit{250};  // of connecting and logging in
  std::chrono::milliseconds idle_check{5000};  // a connection without calls is asked PING so often
  size_t max_waiting = 256;                    // calls that wait for a connection
  size_t max_reply_bytes = 64 * 1024;          // of the reply to one command
  size_t max_reply_elements = 1024;            // of its arrays
  BreakerOptions breaker = {};
};

class RedisDispatch;

class RedisClient {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<RedisReply>>)>;

  // REQUIRES: connections in 1..16, limits > 0, max_waiting > 0. Starts to connect and does not
  // wait for it: a server that is down changes nothing but the answers. `metrics` must outlive the
  // client.
  static std::unique_ptr<RedisClient> Create(RedisOptions options, Metrics& metrics);
  ~RedisClient();  // Stop()
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // Answers with one reply per command, in order; replies may be errors that concern this command
  // only (WRONGTYPE, NOSCRIPT, ERR; their Kind is the caller's to check). Else
  //   DEADLINE_EXCEEDED: the server did not answer in time; what was sent may yet be done by it,
  //   UNAVAILABLE: not connected, breaker open, connection lost, a failure of the server, stopped,
  //   RESOURCE_EXHAUSTED: `max_waiting` calls wait,
  //   DATA_LOSS: the server's bytes are no protocol, too much, or out of step.
  //
  // `done` must be quick, must not throw, must not call Stop(), and must not need a lock that the
  // caller of Run() holds. Any thread. No commands: answered with no replies, at once.
  void Run(std::vector<RedisCommand> commands, Done done);

  // Whether calls go to a server: a connection stands and the breaker is closed. Any thread.
  bool up() const;

  // Waits for the end of the first attempt to connect, `connect_limit` and `limit` at most, and
  // returns up(): for a start that wants to know before it says what it has. Any thread.
  bool AwaitFirstAttempt() const;

  // Answers everything that waits (UNAVAILABLE), and ends the threads, quickly even while the
  // server hangs; later calls are answered so at once. May be repeated.
  void Stop();

 private:
  RedisClient(RedisOptions options, Metrics& metrics);

  const RedisOptions options_;
  const std::unique_ptr<RedisDispatch> dispatch_;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace emotion

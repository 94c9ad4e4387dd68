// The life of one worker: connect, log in, exchange what waits, connect again.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/redis/address_lookup.h"
#include "common/redis/connection.h"
#include "common/redis/redis_dispatch.h"

namespace emotion {

class RedisWorker {
 public:
  // Borrows both; they must outlive it.
  RedisWorker(size_t index, const RedisOptions& options, RedisDispatch& dispatch);

  // Until the dispatch stops.
  void Run();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Each returns false when all ends.
  bool Connect();
  bool Serve();
  bool WaitForCalls();

  absl::StatusOr<std::unique_ptr<Connection>> OpenAndLogIn();
  absl::Status LogIn(Connection& connection, TimePoint deadline);
  void Exchange(std::vector<RedisCall> calls);
  void Drop(const absl::Status& why);

  const size_t index_;
  const RedisOptions& options_;
  RedisDispatch& dispatch_;
  AddressLookup addresses_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace emotion

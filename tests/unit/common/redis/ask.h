// Calls of a RedisClient, waited for.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/observe/metrics.h"
#include "common/redis/redis_client.h"
#include "tests/fakes/eventually.h"

namespace emotion::testing {

struct Answered {
  absl::StatusOr<std::vector<RedisReply>> replies;
  std::chrono::milliseconds took;

  absl::StatusCode code() const { return replies.status().code(); }
  // Of the first reply; for others the message of the error.
  std::string text() const {
    if (!replies.ok()) return std::string(replies.status().message());
    return replies->empty() ? "" : replies->front().text;
  }
};

// The answer to one call. A second answer throws in the client's thread, and ends the test so.
inline Answered Ask(RedisClient& client, std::vector<RedisCommand> commands) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<std::vector<RedisReply>>>>();
  const auto start = std::chrono::steady_clock::now();
  client.Run(std::move(commands), [promise](absl::StatusOr<std::vector<RedisReply>> replies) {
    promise->set_value(std::move(replies));
  });
  Answered answered{promise->get_future().get(), {}};
  answered.took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  return answered;
}

// Whether the client serves again, by itself, in time for the promise of 5 s.
inline bool Recovers(const RedisClient& client) {
  return Eventually([&] { return client.up(); }, std::chrono::seconds(5));
}

}  // namespace emotion::testing

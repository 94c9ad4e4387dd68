// A real Redis of a test, and somebody who may look into it and tamper with it.
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
#include "tests/fakes/redis_server.h"

namespace emotion::testing {

class RedisAdmin {
 public:
  explicit RedisAdmin(std::vector<std::string> arguments = {}) : server(std::move(arguments)) {
    RedisOptions options;
    options.port = static_cast<uint16_t>(server.port());
    options.connections = 1;
    options.limit = std::chrono::seconds(10);
    options.max_reply_bytes = size_t{16} << 20;
    options.max_reply_elements = 100'000;
    client_ = RedisClient::Create(options, metrics_);
  }

  // Waits for a connection first. Throws when the server does not answer.
  RedisReply Do(RedisCommand command) {
    Eventually([&] { return client_->up(); });
    std::promise<absl::StatusOr<std::vector<RedisReply>>> promise;
    client_->Run({std::move(command)}, [&](absl::StatusOr<std::vector<RedisReply>> replies) {
      promise.set_value(std::move(replies));
    });
    auto replies = promise.get_future().get();
    if (!replies.ok()) throw std::runtime_error(std::string(replies.status().message()));
    return std::move(replies->front());
  }

  // Of a kind: 'x' values, 's' sessions, 'd' deletions, 'n' lanes; 0: all.
  std::vector<std::string> Keys(char kind = 0) {
    std::vector<std::string> keys;
    for (RedisReply& item : Do({"KEYS", "*"}).items) {
      if (kind == 0 || item.text.starts_with(std::string("{emotion}") + kind)) {
        keys.push_back(std::move(item.text));
      }
    }
    return keys;
  }

  RedisServer server;

 private:
  Metrics metrics_{BuildInfo{}};
  std::unique_ptr<RedisClient> client_;
};

}  // namespace emotion::testing

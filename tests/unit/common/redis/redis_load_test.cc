// Many calls at once: each is answered exactly once, in time, whatever happens meanwhile.
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "common/redis/redis_client.h"
#include "tests/fakes/fault_proxy.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/scripted_redis.h"
#include "tests/unit/common/redis/ask.h"

namespace emotion {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::Eventually;
using testing::FaultProxy;
using testing::Recovers;
using testing::RedisServer;

// The time limit and what a busy machine may add to it.
constexpr milliseconds kLongest{2000};

RedisOptions At(int port) {
  RedisOptions options;
  options.host = "127.0.0.1";
  options.port = static_cast<uint16_t>(port);
  return options;
}

// Counts the answers to many calls of GET k<n>, whose value is v<n>.
class Tally {
 public:
  void Ask(RedisClient& client, int n) {
    const int id = asked_++;
    const auto start = steady_clock::now();
    client.Run({{"GET", "k" + std::to_string(n)}},
               [this, id, n, start](absl::StatusOr<std::vector<RedisReply>> replies) {
                 std::lock_guard lock(mutex_);
                 if (answered_.size() <= static_cast<size_t>(id)) answered_.resize(id + 1);
                 ++answered_[static_cast<size_t>(id)];
                 slowest_ = std::max(slowest_, steady_clock::now() - start);
                 if (!replies.ok()) return void(++failed_);
                 (replies->at(0).text == "v" + std::to_string(n) ? right_ : wrong_)++;
               });
  }
  void CheckAll(milliseconds longest) {
    CHECK(Eventually([&] {
      std::lock_guard lock(mutex_);
      return right_ + wrong_ + failed_ >= asked_;
    }));
    std::lock_guard lock(mutex_);
    CHECK(answered_ == std::vector<int>(static_cast<size_t>(asked_), 1));
    CHECK(wrong_ == 0);
    CHECK(slowest_ < longest);
  }
  int asked() const { return asked_; }
  int right() {
    std::lock_guard lock(mutex_);
    return right_;
  }

 private:
  std::atomic<int> asked_ = 0;
  std::mutex mutex_;
  std::vector<int> answered_;
  int right_ = 0, wrong_ = 0, failed_ = 0;
  steady_clock::duration slowest_{};
};

void AskFromManyThreads(RedisClient& client, Tally& tally, int threads, int calls) {
  std::vector<std::jthread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&client, &tally, t, calls] {
      for (int i = 0; i < calls; ++i) {
        tally.Ask(client, (t + i) % 16);
        std::this_thread::sleep_for(std::chrono::microseconds(200 * (t % 8)));
      }
    });
  }
}

void SetValues(const RedisServer& server) {
  for (int i = 0; i < 16; ++i) {
    server.Ask("SET k" + std::to_string(i) + " v" + std::to_string(i));
  }
}

TEST_CASE("64 threads at once get their own replies, each exactly once") {
  RedisServer server;
  SetValues(server);
  Metrics metrics({});
  RedisOptions options = At(server.port());
  options.max_waiting = 64 * 50;
  options.limit = std::chrono::seconds(30);  // however slow this machine: all of them
  auto client = RedisClient::Create(options, metrics);
  REQUIRE(Recovers(*client));
  Tally tally;
  AskFromManyThreads(*client, tally, 64, 50);
  tally.CheckAll(options.limit);
  CHECK(tally.right() == 64 * 50);
}

TEST_CASE("64 threads at once while the server stops, goes on, and connections break") {
  RedisServer server;
  SetValues(server);
  FaultProxy proxy(server.port());
  Metrics metrics({});
  auto client = RedisClient::Create(At(proxy.port()), metrics);
  REQUIRE(Recovers(*client));
  Tally tally;
  std::jthread chaos([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      std::this_thread::sleep_for(milliseconds(30));
      if (i % 4 == 0) proxy.HangUp();
      if (i % 4 == 1) proxy.Damage(FaultProxy::Fault::kSwallow, i % 7);
      if (i % 4 == 2) proxy.Stall(true);
      if (i % 4 == 3) proxy.Stall(false);
    }
    proxy.Stall(false);
  });
  AskFromManyThreads(*client, tally, 64, 300);
  chaos.request_stop();
  tally.CheckAll(kLongest);
  chaos.join();
  CHECK(Recovers(*client));
}

TEST_CASE("what waits beyond the bound is refused at once") {
  RedisServer server;
  Metrics metrics({});
  RedisOptions options = At(server.port());
  options.connections = 1;
  options.max_waiting = 3;
  options.limit = milliseconds(300);
  auto client = RedisClient::Create(options, metrics);
  REQUIRE(Recovers(*client));
  server.Pause();
  std::atomic<int> refused = 0;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 100; ++i) {
    client->Run({{"PING"}}, [&](absl::StatusOr<std::vector<RedisReply>> replies) {
      if (replies.status().code() == StatusCode::kResourceExhausted) ++refused;
      ++answered;
    });
  }
  CHECK(refused >= 100 - 2 * 3);  // one turn's worth may be on its way
  CHECK(refused == answered);
  server.Resume();
  CHECK(Eventually([&] { return answered == 100; }));
}

TEST_CASE("Stop answers everything, quickly, also while the server hangs") {
  RedisServer server;
  Metrics metrics({});
  RedisOptions options = At(server.port());
  options.limit = std::chrono::seconds(60);
  auto client = RedisClient::Create(options, metrics);
  REQUIRE(Recovers(*client));
  server.Pause();
  std::atomic<int> unavailable = 0;
  const auto count = [&](absl::StatusOr<std::vector<RedisReply>> replies) {
    if (replies.status().code() == StatusCode::kUnavailable) ++unavailable;
  };
  for (int i = 0; i < 50; ++i) client->Run({{"PING"}}, count);
  const auto start = steady_clock::now();
  client->Stop();
  CHECK(steady_clock::now() - start < std::chrono::seconds(1));
  CHECK(unavailable == 50);
  client->Run({{"PING"}}, count);
  CHECK(unavailable == 51);
  CHECK_FALSE(client->up());
  client->Stop();
}

TEST_CASE("while connecting hangs, calls fail at once and Stop is quick") {
  testing::ScriptedRedis silent([](const std::vector<std::string>&) { return ""; }, true);
  Metrics metrics({});
  RedisOptions options = At(silent.port());
  options.connect_limit = std::chrono::seconds(60);
  auto client = RedisClient::Create(options, metrics);
  REQUIRE(Eventually([&] { return silent.server().connections() == 2; }));
  const testing::Answered answered = testing::Ask(*client, {{"GET", "k"}});
  CHECK(answered.code() == StatusCode::kUnavailable);
  CHECK(answered.took < milliseconds(20));
  const auto start = steady_clock::now();
  client->Stop();
  CHECK(steady_clock::now() - start < std::chrono::seconds(1));
}

TEST_CASE("no commands are answered with no replies, connected or not") {
  Metrics metrics({});
  auto client = RedisClient::Create(At(1), metrics);
  const testing::Answered answered = testing::Ask(*client, {});
  REQUIRE(answered.replies.ok());
  CHECK(answered.replies->empty());
}

}  // namespace
}  // namespace emotion

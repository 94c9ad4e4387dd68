// What a server, or the way to it, can do wrong: each call is answered in time, with the right
// reply or an error, and the client serves again by itself.
#include <atomic>
#include <cstdint>
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
using testing::Answered;
using testing::Ask;
using testing::Eventually;
using testing::FaultProxy;
using testing::Recovers;
using testing::RedisServer;
using testing::ScriptedRedis;

// What a busy machine may add to a time limit before a test complains. How exact the limit is
// otherwise, one test says.
constexpr milliseconds kSlack{2000};

struct Fixture {
  Metrics metrics{{}};
  std::unique_ptr<RedisClient> client;

  void Connect(int port, RedisOptions options = {}) {
    options.host = "127.0.0.1";
    options.port = static_cast<uint16_t>(port);
    client = RedisClient::Create(std::move(options), metrics);
  }
  void ConnectAndWait(int port, RedisOptions options = {}) {
    Connect(port, std::move(options));
    REQUIRE(Recovers(*client));
  }
  Answered Get(const std::string& key) { return Ask(*client, {{"GET", key}}); }
  bool BreakerOpen() const {
    return metrics.Text().find("\nemotion_redis_breaker_open 1\n") != std::string::npos;
  }
  // Asks until the breaker opens; every call fails, in time.
  void CheckOpensInTime() {
    CHECK(Eventually([&] {
      const Answered answered = Get("k");
      CHECK_FALSE(answered.replies.ok());
      CHECK(answered.took < RedisOptions().limit + kSlack);
      return BreakerOpen();
    }));
    CHECK_FALSE(client->up());
  }
  void CheckServes(const std::string& value) {
    REQUIRE(Recovers(*client));
    CHECK(Eventually([&] { return Get("k").text() == value; }));
    CHECK(Eventually([&] { return !BreakerOpen(); }));
  }
};

TEST_CASE_METHOD(Fixture, "a server that is down at the start is found once it is there") {
  RedisServer server;
  server.Kill();
  Connect(server.port());
  CHECK(Get("k").code() == StatusCode::kUnavailable);
  CHECK(Eventually([&] { return BreakerOpen(); }));
  server.Start();
  server.Ask("SET k there");
  CheckServes("there");
}

TEST_CASE_METHOD(Fixture, "a killed server costs errors at once; restarted it serves again") {
  RedisServer server;
  ConnectAndWait(server.port());
  server.Kill();
  CheckOpensInTime();
  CHECK(Get("k").took < kSlack);
  server.Start();
  server.Ask("SET k again");
  CheckServes("again");
}

TEST_CASE_METHOD(Fixture, "a stopped server costs the time limit a few times, then nothing") {
  RedisServer server;
  server.Ask("SET k v");
  ConnectAndWait(server.port());
  server.Pause();
  const Answered first = Get("k");
  CHECK(first.code() == StatusCode::kDeadlineExceeded);
  CHECK(first.took >= RedisOptions().limit);
  CheckOpensInTime();
  server.Resume();
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a hung server costs the time limit and hardly more") {
  RedisServer server;
  FaultProxy proxy(server.port());
  RedisOptions options;
  options.breaker.opens_at = 1'000'000'000;  // never
  ConnectAndWait(proxy.port(), options);
  // Once is enough: the machine of the test may be busy, the client must not be.
  CHECK(Eventually([&] {
    REQUIRE(Recovers(*client));
    proxy.Stall(true);
    const Answered answered = Get("k");
    proxy.Stall(false);
    if (answered.code() != StatusCode::kDeadlineExceeded) return false;
    CHECK(answered.took >= options.limit);
    return answered.took <= options.limit + milliseconds(3);
  }));
}

TEST_CASE_METHOD(Fixture, "a server that stops while nothing is asked is noticed") {
  RedisServer server;
  server.Ask("SET k v");
  RedisOptions options;
  options.idle_check = milliseconds(20);
  ConnectAndWait(server.port(), options);
  server.Pause();
  CHECK(Eventually([&] { return !client->up(); }));
  server.Resume();
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a server 500 ms away is left alone, also when it answers PING") {
  RedisServer server;
  server.Ask("SET k v");
  FaultProxy proxy(server.port());
  ConnectAndWait(proxy.port());
  proxy.Delay(milliseconds(500));
  CheckOpensInTime();
  proxy.Delay(milliseconds(0));
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a reply that trickles ends with the time limit") {
  testing::LoopbackServer server([](int fd) {
    std::string received;
    char bytes[4096];
    for (;;) {
      const ssize_t size = recv(fd, bytes, sizeof(bytes), 0);
      if (size <= 0) return;
      received.append(bytes, static_cast<size_t>(size));
      while (const auto message = testing::TakeRespMessage(received)) {
        const auto command = testing::RespArguments(*message);
        if (command[0] == "PING") testing::SendAll(fd, testing::RespBulk(command[1]));
        if (command[0] == "CLIENT") testing::SendAll(fd, "+OK\r\n");
        if (command[0] != "GET") continue;
        if (!testing::SendAll(fd, "$2000\r\n")) return;
        while (testing::SendAll(fd, "x")) std::this_thread::sleep_for(milliseconds(1));
        return;
      }
    }
  });
  ConnectAndWait(server.port());
  const Answered answered = Get("k");
  CHECK(answered.code() == StatusCode::kDeadlineExceeded);
  CHECK(answered.took < RedisOptions().limit + kSlack);
}

TEST_CASE_METHOD(Fixture, "a full server fails what stores, and serves what reads") {
  RedisServer server({"--maxmemory", "1", "--maxmemory-policy", "noeviction"});
  ConnectAndWait(server.port());
  const Answered stored = Ask(*client, {{"SET", "k", "v"}});
  CHECK(stored.code() == StatusCode::kUnavailable);
  CHECK(stored.text().find("OOM") != std::string::npos);
  REQUIRE(Recovers(*client));
  const Answered script = Ask(*client, {{"EVAL", "return redis.call('SET', 'k', 'v')", "0"}});
  CHECK(script.text().find("OOM") != std::string::npos);
  CHECK(Eventually([&] {
    Ask(*client, {{"SET", "k", "v"}});
    return BreakerOpen();
  }));
  server.Ask("CONFIG SET maxmemory 100mb");
  server.Ask("SET k v");
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a replica takes no writes: a failure, until it is a master") {
  RedisServer server({"--replicaof", "127.0.0.1", "1"});
  ConnectAndWait(server.port());
  const Answered refused = Ask(*client, {{"DEL", "k"}});
  CHECK(refused.code() == StatusCode::kUnavailable);
  CHECK(refused.text().find("READONLY") != std::string::npos);
  CHECK(Eventually([&] {
    Ask(*client, {{"DEL", "k"}});
    return BreakerOpen();
  }));
  server.Ask("REPLICAOF NO ONE");
  server.Ask("SET k v");
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a replica that lost its master and says so is not up") {
  RedisServer server({"--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no"});
  Connect(server.port());
  CheckOpensInTime();
  server.Ask("REPLICAOF NO ONE");
  server.Ask("SET k v");
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a server that loads or moved away is not up until it serves") {
  const char* error = GENERATE("-LOADING Redis is loading the dataset in memory\r\n",
                               "-MOVED 3999 127.0.0.1:6381\r\n", "-CLUSTERDOWN down\r\n");
  std::atomic<bool> serves = false;
  ScriptedRedis redis(
      [&](const std::vector<std::string>& command) -> std::string {
        if (!serves) return error;
        return command[0] == "PING" ? testing::RespBulk(command[1]) : "+v\r\n";
      },
      true);
  Connect(redis.port());
  CHECK(Eventually([&] { return BreakerOpen(); }));
  CHECK(Get("k").code() == StatusCode::kUnavailable);
  serves = true;
  CheckServes("v");
  serves = false;
  const Answered answered = Get("k");
  CHECK(answered.code() == StatusCode::kUnavailable);
  CHECK(answered.text().find("Redis cannot serve") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a wrong password is no connection; it is asked for again each time") {
  RedisServer server({"--requirepass", "right"});
  std::atomic<int> asked = 0;
  std::atomic<bool> right = false;
  RedisOptions options;
  options.password = [&]() -> absl::StatusOr<std::string> {
    switch (asked++) {
      case 0:
        return absl::NotFoundError("no such file");
      case 1:
        return std::string();
      default:
        return std::string(right ? "right" : "wrong");
    }
  };
  Connect(server.port(), options);
  CHECK(Eventually([&] { return asked > 4; }));
  CHECK_FALSE(client->up());
  CHECK(BreakerOpen());
  right = true;
  REQUIRE(Recovers(*client));
  CHECK(Ask(*client, {{"SET", "k", "v"}}).text() == "OK");
  client->Stop();  // before what it asks is gone
}

TEST_CASE_METHOD(Fixture,
                 "a user of the ACL needs no more than the commands of the calls and PING") {
  RedisServer server({"--user", "default", "off", "--user", "emotion", "on", ">pass", "~e:*",
                      "+get", "+set", "+ping"});
  RedisOptions options;
  options.username = "emotion";
  options.password = [] { return std::string("pass"); };
  ConnectAndWait(server.port(), options);
  CHECK(Ask(*client, {{"SET", "e:k", "v"}, {"GET", "e:k"}}).replies->back().text == "v");
  const Answered forbidden = Ask(*client, {{"GET", "other"}});
  CHECK(forbidden.code() == StatusCode::kUnavailable);
  CHECK(forbidden.text().find("NOPERM") != std::string::npos);
}

TEST_CASE_METHOD(Fixture,
                 "a connection that breaks or babbles is replaced, and nobody gets its bytes") {
  RedisServer server;
  const std::string value(7000, 'v');
  server.Ask("SET k " + value);
  FaultProxy proxy(server.port());
  RedisOptions options;
  options.connections = 1;  // another one's login would be struck instead
  ConnectAndWait(proxy.port(), options);
  using Fault = FaultProxy::Fault;
  const auto [fault, code] = GENERATE(table<Fault, StatusCode>({
      {Fault::kGarbage, StatusCode::kDataLoss},
      {Fault::kTruncate, StatusCode::kUnavailable},
      {Fault::kHalf, StatusCode::kDeadlineExceeded},
      {Fault::kClose, StatusCode::kUnavailable},
      {Fault::kSwallow, StatusCode::kDeadlineExceeded},
      {Fault::kRepeat, StatusCode::kDataLoss},
  }));
  CAPTURE(static_cast<int>(fault));
  const int connections = proxy.connections();
  proxy.Damage(fault);
  const Answered answered = Get("k");
  CHECK(answered.code() == code);
  CHECK(answered.took < RedisOptions().limit + kSlack);
  CHECK(Eventually([&] { return Get("k").text() == value; }));
  CHECK(Eventually([&] { return proxy.connections() > connections; }));
}

// hiredis' classic: the reply that came too late for GET a answers GET b.
TEST_CASE_METHOD(Fixture,
                 "no call ever gets another call's reply, whatever is lost, late or double") {
  RedisServer server;
  for (int i = 0; i < 10; ++i) {
    server.Ask("SET k" + std::to_string(i) + " value" + std::to_string(i));
  }
  FaultProxy proxy(server.port());
  RedisOptions options;
  options.connections = 1;
  options.breaker.opens_at = 1'000'000'000;  // never: this is about the connection
  ConnectAndWait(proxy.port(), options);
  int right = 0;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(Recovers(*client));
    if (i % 10 == 3) proxy.Damage(FaultProxy::Fault::kSwallow, i / 10 % 3);
    if (i % 10 == 6) proxy.Damage(FaultProxy::Fault::kRepeat, i / 10 % 3);
    proxy.Delay(milliseconds(i % 10 == 9 ? 25 : 0));
    const std::string a = std::to_string(i % 9);
    const std::string b = std::to_string(i % 9 + 1);
    const Answered answered = Ask(*client, {{"GET", "k" + a}, {"GET", "k" + b}});
    proxy.Delay(milliseconds(0));
    if (!answered.replies.ok()) continue;
    ++right;
    CHECK((*answered.replies)[0].text == "value" + a);
    CHECK((*answered.replies)[1].text == "value" + b);
  }
  CHECK(right > 100);
  CHECK(right < 200);
}

// As many replies as commands, one of them double and the last one lost: only the number of the
// PING behind them tells.
TEST_CASE_METHOD(Fixture, "replies that are as many as the commands, and shifted, are noticed") {
  std::atomic<bool> shifted = false;
  ScriptedRedis redis(
      [&](const std::vector<std::string>& command) -> std::string {
        if (command[0] == "PING") return shifted ? "" : testing::RespBulk(command[1]);
        if (command[0] != "GET") return "+OK\r\n";
        const std::string value = testing::RespBulk("value of " + command[1]);
        return shifted && command[1] == "a" ? value + value : value;
      },
      true);
  ConnectAndWait(redis.port());
  shifted = true;
  CHECK(Ask(*client, {{"GET", "a"}, {"GET", "b"}}).code() == StatusCode::kDataLoss);
  shifted = false;
  REQUIRE(Recovers(*client));
  CHECK(Eventually([&] {
    const Answered answered = Ask(*client, {{"GET", "a"}, {"GET", "b"}});
    return answered.replies.ok() && answered.replies->back().text == "value of b";
  }));
}

TEST_CASE_METHOD(Fixture, "what a hostile server sends costs it the connection, and no memory") {
  std::atomic<bool> hostile = true;
  const std::string nonsense =
      GENERATE("$2000000000\r\n" + std::string(1'000'000, 'x'), std::string("*2000000000\r\n"),
               "$100000\r\n" + std::string(100'000, 'x') + "\r\n",
               std::string("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"),
               std::string("+v\r\n+v\r\n"));
  ScriptedRedis redis([&](const std::vector<std::string>&) -> std::string {
    return hostile ? nonsense : "+v\r\n";
  });
  ConnectAndWait(redis.port());
  CHECK(Get("k").code() == StatusCode::kDataLoss);
  hostile = false;
  CheckServes("v");
}

TEST_CASE_METHOD(Fixture, "a reply of another kind than expected is the caller's to see") {
  RedisServer server;
  server.Ask("RPUSH k a b");
  ConnectAndWait(server.port());
  const Answered answered = Ask(*client, {{"GET", "k"}, {"LRANGE", "k", "0", "-1"}});
  REQUIRE(answered.replies.ok());
  CHECK(ErrorWord((*answered.replies)[0]) == "WRONGTYPE");
  CHECK((*answered.replies)[1].kind == RedisReply::Kind::kArray);
  CHECK(client->up());
}

TEST_CASE_METHOD(Fixture, "a connection that ends while nothing is asked costs no call") {
  RedisServer server;
  server.Ask("SET k v");
  FaultProxy proxy(server.port());
  ConnectAndWait(proxy.port());
  REQUIRE(Eventually([&] { return proxy.connections() == 2; }));
  REQUIRE(Eventually([&] { return Get("k").text() == "v"; }));
  for (int i = 0; i < 5; ++i) {
    const int connections = proxy.connections();
    proxy.HangUp();
    REQUIRE(Eventually([&] { return proxy.connections() >= connections + 2; }));
    REQUIRE(Eventually([&] { return client->up(); }));
    CHECK(Get("k").text() == "v");
  }
  CHECK_FALSE(BreakerOpen());
}

}  // namespace
}  // namespace emotion

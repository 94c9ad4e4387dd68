#include "common/redis/redis_client.h"

#include <thread>

#include <catch2/catch.hpp>

#include "tests/fakes/redis_server.h"
#include "tests/unit/common/redis/ask.h"

namespace emotion {
namespace {

using testing::Answered;
using testing::Ask;
using testing::Recovers;
using testing::RedisServer;
using Kind = RedisReply::Kind;

TEST_CASE("every command of a call gets its reply, in order, over a unix socket as over TCP") {
  RedisServer server;
  Metrics metrics({});
  RedisOptions options;
  SECTION("unix socket") { options.host = server.socket_path(); }
  SECTION("address") { options.host = "127.0.0.1"; }
  SECTION("name") { options.host = "localhost"; }
  options.port = static_cast<uint16_t>(server.port());
  auto client = RedisClient::Create(options, metrics);
  REQUIRE(Recovers(*client));
  const std::string binary("\0\r\n$-1\r\n\xff", 9);
  const Answered answered = Ask(*client, {{"SET", "k", binary},
                                          {"GET", "k"},
                                          {"GET", "none"},
                                          {"INCR", "n"},
                                          {"RPUSH", "l", "a", "b"},
                                          {"LRANGE", "l", "0", "-1"},
                                          {"INCR", "k"}});
  REQUIRE(answered.replies.ok());
  const std::vector<RedisReply>& replies = *answered.replies;
  REQUIRE(replies.size() == 7);
  CHECK(replies[0].kind == Kind::kStatus);
  CHECK(replies[0].text == "OK");
  CHECK(replies[1].kind == Kind::kString);
  CHECK(replies[1].text == binary);
  CHECK(replies[2].kind == Kind::kNil);
  CHECK(replies[3].kind == Kind::kInteger);
  CHECK(replies[3].integer == 1);
  REQUIRE(replies[5].items.size() == 2);
  CHECK(replies[5].items[1].text == "b");
  CHECK(replies[6].kind == Kind::kError);
  CHECK(ErrorWord(replies[6]) == "ERR");
  CHECK(client->up());  // an error of one command is no failure of the server
}

TEST_CASE("who waits for the first attempt knows whether the server is there") {
  RedisServer server;
  Metrics metrics({});
  RedisOptions options;
  options.host = "127.0.0.1";
  options.port = static_cast<uint16_t>(server.port());
  options.limit = options.connect_limit = std::chrono::seconds(20);
  const auto start = std::chrono::steady_clock::now();
  SECTION("one that answers late") {
    server.Pause();
    auto client = RedisClient::Create(options, metrics);
    std::jthread late([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      server.Resume();
    });
    CHECK(client->AwaitFirstAttempt());
    CHECK(client->AwaitFirstAttempt());  // known by now
  }
  SECTION("one that is not there") {
    server.Kill();
    CHECK_FALSE(RedisClient::Create(options, metrics)->AwaitFirstAttempt());
  }
  SECTION("one that hangs is waited for as long as connecting may take") {
    options.connect_limit = std::chrono::milliseconds(100);
    options.limit = std::chrono::milliseconds(10);
    server.Pause();
    CHECK_FALSE(RedisClient::Create(options, metrics)->AwaitFirstAttempt());
    CHECK(std::chrono::steady_clock::now() - start >= options.connect_limit);
    server.Resume();
  }
  SECTION("a client that stops has none") {
    server.Pause();
    auto client = RedisClient::Create(options, metrics);
    std::jthread stop([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      client->Stop();
    });
    CHECK_FALSE(client->AwaitFirstAttempt());
    stop.join();
    server.Resume();
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(15));
}

}  // namespace
}  // namespace emotion

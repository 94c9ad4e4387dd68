#include "common/redis/redis_client.h"

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

}  // namespace
}  // namespace emotion

#include "common/redis/reply_reader.h"

#include <string>

#include <catch2/catch.hpp>

namespace emotion {
namespace {

using Kind = RedisReply::Kind;

constexpr ReplyLimits kLimits = {.max_bytes = 1000, .max_elements = 10};

// What the reader makes of the bytes: its last word after all of them.
absl::StatusOr<std::optional<RedisReply>> Read(std::string_view bytes) {
  ReplyReader reader(kLimits);
  reader.Feed(bytes);
  return reader.Next();
}

bool IsRefused(std::string_view bytes) {
  return Read(bytes).status().code() == absl::StatusCode::kDataLoss;
}

TEST_CASE("replies of every kind are read, byte for byte, however they are cut") {
  const std::string bytes =
      "+OK\r\n-ERR "
      "no\r\n:-42\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n*3\r\n$1\r\nx\r\n*1\r\n:7\r\n*0\r\n$0\r\n\r\n";
  const size_t piece = GENERATE(1, 2, 7, 1000);
  ReplyReader reader(kLimits);
  std::vector<RedisReply> replies;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    reader.Feed(std::string_view(bytes).substr(at, piece));
    for (;;) {
      auto reply = reader.Next();
      REQUIRE(reply.ok());
      if (!reply->has_value()) break;
      replies.push_back(*std::move(*reply));
    }
  }
  REQUIRE(replies.size() == 8);
  CHECK(replies[0].kind == Kind::kStatus);
  CHECK(ErrorWord(replies[1]) == "ERR");
  CHECK(replies[2].integer == -42);
  CHECK(replies[3].text == "a\r\nb");
  CHECK(replies[4].kind == Kind::kNil);
  CHECK(replies[5].kind == Kind::kNil);
  REQUIRE(replies[6].items.size() == 3);
  CHECK(replies[6].items[0].text == "x");
  CHECK(replies[6].items[1].items.at(0).integer == 7);
  CHECK(replies[6].items[2].kind == Kind::kArray);
  CHECK(replies[7].kind == Kind::kString);
  CHECK(replies[7].text.empty());
  CHECK_FALSE(reader.HasRest());
}

TEST_CASE("a reader knows of what belongs to no whole reply") {
  for (const std::string_view rest : {"$", "*2\r\n", ":1", "*2\r\n:1\r\n"}) {
    CAPTURE(rest);
    ReplyReader reader(kLimits);
    reader.Feed("+OK\r\n");
    REQUIRE(reader.Next()->has_value());
    REQUIRE_FALSE(reader.Next()->has_value());
    CHECK_FALSE(reader.HasRest());
    reader.Feed(rest);
    REQUIRE_FALSE(reader.Next()->has_value());
    CHECK(reader.HasRest());
  }
}

TEST_CASE("what is no protocol of Redis is refused, and whatever follows it") {
  CHECK(IsRefused("HTTP/1.1 400 Bad Request\r\n\r\n"));
  CHECK(IsRefused(std::string(64, '\0')));
  CHECK(IsRefused("$x\r\n"));
  CHECK(IsRefused("$-2\r\n"));
  CHECK(IsRefused(":99999999999999999999\r\n"));
  ReplyReader reader(kLimits);
  reader.Feed("?\r\n");
  CHECK_FALSE(reader.Next().ok());
  reader.Feed("+OK\r\n");
  CHECK_FALSE(reader.Next().ok());
}

TEST_CASE("an announced size costs no memory; what arrives is bounded") {
  ReplyReader reader(kLimits);
  reader.Feed("$2000000000\r\n");
  REQUIRE(reader.Next().ok());  // it may be lying: nothing is allocated for it
  reader.Feed(std::string(kLimits.max_bytes, 'x'));
  CHECK(reader.Next().status().code() == absl::StatusCode::kDataLoss);
  CHECK(IsRefused("$9223372036854775807\r\n" + std::string(2000, 'x')));
}

TEST_CASE("a whole reply beyond the bytes is refused, one at the bound is not") {
  const std::string fits = "$992\r\n" + std::string(992, 'x') + "\r\n";
  REQUIRE(fits.size() == kLimits.max_bytes);
  CHECK(Read(fits)->has_value());
  CHECK(IsRefused("$993\r\n" + std::string(993, 'x') + "\r\n"));
  // Many small ones together are not one large one.
  ReplyReader reader(kLimits);
  for (int i = 0; i < 1000; ++i) {
    reader.Feed("+OK\r\n");
    REQUIRE(reader.Next()->has_value());
  }
}

TEST_CASE("arrays are bounded in elements, over all their depths, and in depth") {
  CHECK(IsRefused("*2147483647\r\n"));
  CHECK(IsRefused("*1000000000\r\n"));
  CHECK(IsRefused("*11\r\n"));
  CHECK(Read("*10\r\n").ok());
  CHECK(IsRefused("*5\r\n*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n*2\r\n"));
  std::string deep;
  for (int i = 0; i < 10; ++i) deep += "*1\r\n";
  CHECK(IsRefused(deep));
  // The bound is of one reply, not of the connection.
  ReplyReader reader(kLimits);
  for (int i = 0; i < 5; ++i) {
    reader.Feed("*3\r\n:1\r\n:2\r\n:3\r\n");
    REQUIRE(reader.Next()->has_value());
  }
}

TEST_CASE("errors of the server as a whole are told from errors of one command") {
  const auto error = [](std::string text) {
    return RedisReply{.kind = Kind::kError, .integer = 0, .text = std::move(text), .items = {}};
  };
  for (const char* text :
       {"LOADING Redis is loading the dataset in memory", "READONLY You can't write",
        "OOM command not allowed", "MOVED 3999 127.0.0.1:6381", "CLUSTERDOWN Hash slot not served",
        "NOAUTH Authentication required.", "WRONGPASS invalid", "NOPERM this user has no", "BUSY",
        "MASTERDOWN Link with MASTER is down", "MISCONF Redis is configured to save",
        "ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed"}) {
    CAPTURE(text);
    CHECK(MeansServerFailure(error(text)));
  }
  for (const char* text :
       {"ERR unknown command", "WRONGTYPE Operation", "NOSCRIPT No matching", "BUSYGROUP Consumer",
        "ERR Error running script (call to f_1): @user_script:1: x", "OOMPH", ""}) {
    CAPTURE(text);
    CHECK_FALSE(MeansServerFailure(error(text)));
  }
  RedisReply array{.kind = Kind::kArray, .integer = 0, .text = "", .items = {error("ERR")}};
  CHECK_FALSE(MeansServerFailure(array));
  array.items.push_back(error("OOM x"));
  CHECK(MeansServerFailure(array));
  for (const char* text : {"OOM x", "ERR Error running script: -OOM x"}) {
    const RedisReply value{.kind = Kind::kString, .integer = 0, .text = text, .items = {}};
    CHECK_FALSE(MeansServerFailure(value));
  }
}

}  // namespace
}  // namespace emotion

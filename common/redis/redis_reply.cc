#include "common/redis/redis_reply.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "fmt/format.h"

namespace emotion {
namespace {

constexpr std::array<std::string_view, 17> kServerFailures = {
    "ASK",     "BUSY",     "CLUSTERDOWN", "DENIED",     "LOADING",  "MASTERDOWN",
    "MISCONF", "MOVED",    "NOAUTH",      "NOPERM",     "NOPROTO",  "NOREPLICAS",
    "OOM",     "READONLY", "TRYAGAIN",    "UNKILLABLE", "WRONGPASS"};

// Redis before 7 wraps what a command of a script said: "ERR Error running script (call to f_...):
// @user_script:4: -OOM command not allowed ...".
std::string_view FailureWord(const RedisReply& reply) {
  if (reply.kind != RedisReply::Kind::kError) return {};
  const std::string_view text = reply.text;
  const size_t wrapped = text.find(": -");
  if (!text.starts_with("ERR Error running script") || wrapped == std::string_view::npos) {
    return ErrorWord(reply);
  }
  const std::string_view inner = text.substr(wrapped + 3);
  return inner.substr(0, inner.find(' '));
}

}  // namespace

std::string_view ErrorWord(const RedisReply& reply) {
  if (reply.kind != RedisReply::Kind::kError) return {};
  return std::string_view(reply.text).substr(0, reply.text.find(' '));
}

bool MeansServerFailure(const RedisReply& reply) {
  if (reply.kind == RedisReply::Kind::kArray) {
    return std::any_of(reply.items.begin(), reply.items.end(), MeansServerFailure);
  }
  const std::string_view word = FailureWord(reply);
  return std::find(kServerFailures.begin(), kServerFailures.end(), word) != kServerFailures.end();
}

void AppendCommand(const RedisCommand& command, std::string& out) {
  fmt::format_to(std::back_inserter(out), "*{}\r\n", command.size());
  for (const std::string& argument : command) {
    fmt::format_to(std::back_inserter(out), "${}\r\n", argument.size());
    out += argument;
    out += "\r\n";
  }
}

}  // namespace emotion

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

}  // namespace

std::string_view ErrorWord(const RedisReply& reply) {
  if (reply.kind != RedisReply::Kind::kError) return {};
  return std::string_view(reply.text).substr(0, reply.text.find(' '));
}

bool MeansServerFailure(const RedisReply& reply) {
  if (reply.kind == RedisReply::Kind::kArray) {
    return std::any_of(reply.items.begin(), reply.items.end(), MeansServerFailure);
  }
  const std::string_view word = ErrorWord(reply);
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

// Commands and replies of Redis as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace emotion {

// The name of the command and its arguments; any bytes.
using RedisCommand = std::vector<std::string>;

struct RedisReply {
  enum class Kind { kNil, kInteger, kString, kStatus, kError, kArray };

  Kind kind = Kind::kNil;
  int64_t integer = 0;            // kInteger
  std::string text;               // kString, kStatus, kError
  std::vector<RedisReply> items;  // kArray
};

// The first word of an error: "WRONGTYPE" of "WRONGTYPE Operation against a key ...". "" for
// replies that are no errors.
std::string_view ErrorWord(const RedisReply& reply);

// Whether an error says that the server as a whole cannot serve (LOADING, READONLY, OOM, NOAUTH,
// MOVED, ...) rather than that this command was wrong (WRONGTYPE, NOSCRIPT, ERR). Also true for an
// array that holds such an error, however deep.
bool MeansServerFailure(const RedisReply& reply);

// Appends a command in the form in which it is sent.
void AppendCommand(const RedisCommand& command, std::string& out);

}  // namespace emotion

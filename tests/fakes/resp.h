// Redis' protocol as the fakes between a client and its server need it: where one message ends.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace emotion::testing {

// The size of the first whole message (a command or a reply); 0: it is not whole yet.
inline size_t RespMessageSize(std::string_view bytes) {
  const size_t line = bytes.find("\r\n");
  if (line == std::string_view::npos) return 0;
  const int64_t count = std::atoll(std::string(bytes.substr(1, line - 1)).c_str());
  size_t size = line + 2;
  if (bytes[0] == '$' && count >= 0) size += static_cast<size_t>(count) + 2;
  for (int64_t i = 0; bytes[0] == '*' && i < count; ++i) {
    if (size >= bytes.size()) return 0;
    const size_t item = RespMessageSize(bytes.substr(size));
    if (item == 0) return 0;
    size += item;
  }
  return size <= bytes.size() ? size : 0;
}

// Takes the first whole message off `bytes`.
inline std::optional<std::string> TakeRespMessage(std::string& bytes) {
  const size_t size = RespMessageSize(bytes);
  if (size == 0) return std::nullopt;
  std::string message = bytes.substr(0, size);
  bytes.erase(0, size);
  return message;
}

// The arguments of a whole command.
inline std::vector<std::string> RespArguments(std::string_view command) {
  std::vector<std::string> arguments;
  command.remove_prefix(command.find("\r\n") + 2);
  while (!command.empty()) {
    const size_t line = command.find("\r\n") + 2;
    const size_t size = RespMessageSize(command);
    arguments.emplace_back(command.substr(line, size - line - 2));
    command.remove_prefix(size);
  }
  return arguments;
}

inline std::string RespBulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

}  // namespace emotion::testing

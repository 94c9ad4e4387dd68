// The target of a request line: path and query, percent-decoded and checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace emotion::gateway {

struct Target {
  std::string path;  // starts with '/'
  std::vector<std::pair<std::string, std::string>> query;
};

// Takes "/path?query" and the absolute form "http://host/path?query". nullopt for anything else,
// for broken percent escapes, and where decoding gives a control character (NUL and line ends
// included) or a backslash in the path. '+' in a query is a space.
std::optional<Target> ParseTarget(std::string_view text);

// "%41" -> "A"; nullopt for broken escapes and control characters.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

}  // namespace emotion::gateway

#include "common/config/env_file.h"

#include <algorithm>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool IsName(std::string_view name) {
  const auto is_word = [](unsigned char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), is_word);
}

char Unescaped(char c) {
  if (c == 'n') return '\n';
  if (c == 't') return '\t';
  return c;
}

absl::Status LineError(int line, std::string_view what) {
  return FieldError(fmt::format("line {}", line), what);
}

// `text` begins with a quote. Only a comment may follow the closing one.
absl::StatusOr<std::string> ParseQuoted(std::string_view text, int line) {
  const char quote = text.front();
  std::string value;
  size_t i = 1;
  for (; i < text.size() && text[i] != quote; ++i) {
    const bool escape = quote == '"' && text[i] == '\\' && i + 1 < text.size();
    value.push_back(escape ? Unescaped(text[++i]) : text[i]);
  }
  if (i >= text.size()) return LineError(line, fmt::format("has no closing {}", quote));
  const std::string_view rest = Trim(text.substr(i + 1));
  if (!rest.empty() && rest.front() != '#') {
    return LineError(line, "has text behind the closing quote");
  }
  return value;
}

std::string ParseUnquoted(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '#' && IsSpace(text[i - 1])) return std::string(Trim(text.substr(0, i)));
  }
  return std::string(Trim(text));
}

}  // namespace

absl::StatusOr<std::vector<EnvLine>> ParseEnvFile(std::string_view text) {
  std::vector<EnvLine> lines;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    std::string_view line = Trim(whole);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.starts_with("export ")) line = Trim(line.substr(7));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return LineError(number, "must be NAME=value");
    const std::string_view name = Trim(line.substr(0, equals));
    if (!IsName(name)) return LineError(number, "has no name of letters, digits and _ before =");
    const std::string_view raw = Trim(line.substr(equals + 1));
    const bool quoted = raw.starts_with('"') || raw.starts_with('\'');
    absl::StatusOr<std::string> value = quoted ? ParseQuoted(raw, number) : ParseUnquoted(raw);
    if (!value.ok()) return value.status();
    lines.push_back({std::string(name), *std::move(value), number});
  }
  return lines;
}

}  // namespace emotion

#include "common/config/value_parser.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/error/error.h"
#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

std::string_view Trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// ["a", 'b'] without escapes: origins and targets need none.
std::optional<std::vector<std::string>> ParseBracketed(std::string_view text) {
  std::vector<std::string> entries;
  text = Trim(text.substr(1, text.size() - 2));
  while (!text.empty()) {
    const char quote = text.front();
    if (quote != '"' && quote != '\'') return std::nullopt;
    const size_t end = text.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    entries.emplace_back(text.substr(1, end - 1));
    text = Trim(text.substr(end + 1));
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text = Trim(text.substr(1));
  }
  return entries;
}

bool IsChoice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const std::string_view choice = choices.substr(0, choices.find('|'));
    if (choice == text) return true;
    choices.remove_prefix(std::min(choices.size(), choice.size() + 1));
  }
  return false;
}

std::string Listed(std::string_view choices) {
  std::string listed(choices);
  for (size_t at = listed.find('|'); at != std::string::npos; at = listed.find('|', at)) {
    listed.replace(at, 1, ", ");
  }
  return listed;
}

bool InRange(const SettingRow& row, double value) { return value >= row.min && value <= row.max; }

bool IsValue(const SettingRow& row, std::string_view text) {
  switch (row.type) {
    case SettingType::kText:
      return text.size() >= row.min;
    case SettingType::kChoice:
      return IsChoice(row.choices, text);
    case SettingType::kIntegerOrAuto:
      if (text == "auto") return true;
      [[fallthrough]];
    case SettingType::kInteger: {
      const auto value = ParseInteger(text);
      return value && InRange(row, static_cast<double>(*value));
    }
    case SettingType::kNumber: {
      const auto value = ParseNumber(text);
      return value && InRange(row, *value);
    }
    case SettingType::kBoolean:
      return ParseBoolean(text).has_value();
    case SettingType::kBytes: {
      const auto value = ParseBytes(text);
      return value && InRange(row, static_cast<double>(*value));
    }
    case SettingType::kList:
      return ParseList(text).has_value();
  }
  return false;
}

std::string Expectation(const SettingRow& row) {
  switch (row.type) {
    case SettingType::kText:
      return fmt::format("must have at least {} characters", row.min);
    case SettingType::kChoice:
      return fmt::format("must be one of {}", Listed(row.choices));
    case SettingType::kInteger:
      return fmt::format("must be an integer from {:.0f} to {:.0f}", row.min, row.max);
    case SettingType::kIntegerOrAuto:
      return fmt::format("must be auto or an integer from {:.0f} to {:.0f}", row.min, row.max);
    case SettingType::kNumber:
      return fmt::format("must be a number from {} to {}", row.min, row.max);
    case SettingType::kBoolean:
      return "must be true or false";
    case SettingType::kBytes:
      return fmt::format("must be {:.0f} to {:.0f} bytes (KiB, MiB, GiB may follow the number)",
                         row.min, row.max);
    case SettingType::kList:
      return "must be a,b or [\"a\", \"b\"]";
  }
  return "";
}

// Kubernetes gives every pod REDIS_PORT=tcp://10.0.0.1:6379 when a Service is called "redis".
bool LooksInjected(const SettingRow& row, std::string_view text) {
  return row.name.ends_with("_PORT") && text.find("://") != std::string_view::npos;
}

}  // namespace

std::optional<bool> ParseBoolean(std::string_view text) {
  const std::string lower = Lower(text);
  if (lower == "true" || lower == "1" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "0" || lower == "no" || lower == "off") return false;
  return std::nullopt;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<int64_t> ParseBytes(std::string_view text) {
  const size_t digits = std::min(text.size(), text.find_first_not_of("0123456789"));
  const auto number = ParseInteger(text.substr(0, digits));
  const std::string unit = Lower(Trim(text.substr(digits)));
  int64_t factor = 0;
  if (unit.empty() || unit == "b") factor = 1;
  if (unit == "k" || unit == "kib") factor = int64_t{1} << 10;
  if (unit == "m" || unit == "mib") factor = int64_t{1} << 20;
  if (unit == "g" || unit == "gib") factor = int64_t{1} << 30;
  if (!number || factor == 0) return std::nullopt;
  if (*number > std::numeric_limits<int64_t>::max() / factor) return std::nullopt;
  return *number * factor;
}

std::optional<std::vector<std::string>> ParseList(std::string_view text) {
  text = Trim(text);
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return std::nullopt;
    return ParseBracketed(text);
  }
  std::vector<std::string> entries;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(','));
    if (!Trim(entry).empty()) entries.emplace_back(Trim(entry));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
  }
  return entries;
}

absl::Status CheckValue(const SettingRow& row, std::string_view source, std::string_view text) {
  if (IsValue(row, text)) return absl::OkStatus();
  if (LooksInjected(row, text)) {
    return FieldError(source, fmt::format("is '{}', which Kubernetes injects for a Service of that "
                                          "name; set EMOTION_{}, or enableServiceLinks: false",
                                          CleanUtf8(text, 80), row.name));
  }
  const std::string shown =
      row.secret ? std::string() : fmt::format("; was '{}'", CleanUtf8(text, 80));
  return FieldError(source, Expectation(row) + shown);
}

}  // namespace emotion

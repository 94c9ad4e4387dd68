#include "gateway/http/target.h"

#include <charconv>

namespace emotion::gateway {
namespace {

std::optional<unsigned char> HexByte(std::string_view two) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(two.data(), two.data() + two.size(), value, 16);
  if (two.size() != 2 || error != std::errc() || end != two.data() + 2) return std::nullopt;
  return static_cast<unsigned char>(value);
}

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7F; }

bool ParseQuery(std::string_view text, Target& target) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    auto name = PercentDecode(pair.substr(0, equals), true);
    auto value = PercentDecode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    target.query.emplace_back(*std::move(name), *std::move(value));
  }
  return true;
}

// "http://host/path" -> "/path".
std::string_view StripAuthority(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const size_t slash = text.find_first_of("/?", scheme.size());
    return slash == std::string_view::npos ? "/" : text.substr(slash);
  }
  return text;
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const auto byte = HexByte(text.substr(i + 1, 2));
      if (!byte) return std::nullopt;
      c = static_cast<char>(*byte);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (IsControl(static_cast<unsigned char>(c))) return std::nullopt;
    out.push_back(c);
  }
  return out;
}

std::optional<Target> ParseTarget(std::string_view text) {
  text = StripAuthority(text);
  text = text.substr(0, text.find('#'));
  if (!text.starts_with('/')) return std::nullopt;
  const size_t mark = text.find('?');
  auto path = PercentDecode(text.substr(0, mark), false);
  if (!path || path->find('\\') != std::string::npos) return std::nullopt;
  Target target{*std::move(path), {}};
  if (mark != std::string_view::npos && !ParseQuery(text.substr(mark + 1), target)) {
    return std::nullopt;
  }
  return target;
}

}  // namespace emotion::gateway

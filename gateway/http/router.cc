#include "gateway/http/router.h"

#include <optional>

namespace emotion::gateway {
namespace {

// The segment that stands for {...}, "" for a pattern without one; nullopt when it does not fit.
std::optional<std::string_view> Fit(std::string_view pattern, std::string_view path) {
  const size_t open = pattern.find('{');
  if (open == std::string_view::npos) {
    return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(pattern.find('}', open) + 1);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after)) {
    return std::nullopt;
  }
  path.remove_prefix(before.size());
  path.remove_suffix(after.size());
  return path.find('/') == std::string_view::npos ? std::optional(path) : std::nullopt;
}

}  // namespace

RouteMatch Router::Match(std::string_view method, std::string_view path) const {
  RouteMatch match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    const auto parameter = Fit(route.pattern, path);
    if (!parameter) continue;
    match.allow += route.method == "GET" ? "GET, HEAD, " : route.method + ", ";
    if (route.method != wanted) continue;
    match.route = &route;
    match.parameter = *parameter;
  }
  if (!match.allow.empty()) match.allow += "OPTIONS";
  return match;
}

}  // namespace emotion::gateway

// Which handler answers a request: a table of paths and methods.
//
// Patterns are literal but for one "{...}" that stands for exactly one segment that is not empty.
// HEAD is answered by the handler of GET (the connection drops the body). A path that is known,
// with a method that is not, is a 405 with Allow.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/http/message.h"

namespace emotion::gateway {

struct Route {
  std::string method;   // "GET", "POST", "DELETE"
  std::string pattern;  // "/v1/sessions/{id}"
  std::function<void(std::shared_ptr<Exchange>)> handler;
  // Media types of the body, such as "application/json"; empty: the route takes none.
  std::vector<std::string> media_types;
};

struct RouteMatch {
  const Route* route = nullptr;  // null: 405 when `allow` is set, else 404
  std::string parameter;         // what stands for {...}
  std::string allow;             // "GET, HEAD, OPTIONS"; empty when no pattern fits the path
};

class Router {
 public:
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  RouteMatch Match(std::string_view method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace emotion::gateway

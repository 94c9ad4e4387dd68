// The HTTP/1.1 server: opens a port, accepts connections, runs them on a few threads.
//
// Stopping has two steps, both of which only ever move forward. BeginDrain: still accepts, since
// balancers need time to look elsewhere, but every answer closes its connection. Stop: accepts no
// more, idle connections end, what was accepted is answered; what is left at the deadline is cut
// off. WebSockets are told both times (web_socket.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/http/app.h"
#include "gateway/http/limits.h"

namespace emotion::gateway {

class HttpServer {
 public:
  struct Options {
    std::string host = "0.0.0.0";  // an address or a name
    uint16_t port = 0;             // 0: any free one
    int threads = 2;               // at least 1
    HttpLimits limits = {};
  };

  // `app` is borrowed until Stop has returned. FAILED_PRECONDITION naming the address when the port
  // cannot be opened. Raises the process' soft limit of descriptors to its hard limit.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, HttpApp& app);

  ~HttpServer();  // as Stop(now)

  int port() const;
  size_t connections() const;

  void BeginDrain();

  // Returns when every connection is gone, at the latest shortly after `deadline`. The exchanges
  // may still be answered until the HttpServer is destroyed. A second call does nothing.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::gateway

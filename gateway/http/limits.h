// Every bound of the HTTP server, each against one way to wear it out.
//
// The deadlines are separate, so that a slow reader, a slow sender and an idle browser are each
// treated as what they are. The defaults suit a public service; tests shorten them.
#pragma once

#include <chrono>
#include <cstddef>

namespace emotion::gateway {

struct HttpLimits {
  // Request line and header fields together; 431 above.
  size_t header_bytes = 8 * 1024;
  // Bodies that all connections together may hold while they arrive; 503 above. Keeps a thousand
  // uploads of 16 MiB from taking 16 GiB.
  size_t bodies_in_flight_bytes = size_t{256} << 20;

  // From the first byte of a request to the end of its header; 408 after.
  std::chrono::milliseconds header_timeout{10'000};
  // A body has this long plus its size over `least_bytes_per_second`; 408 after. The same rule
  // bounds the writing of an answer, with `write_timeout`.
  std::chrono::milliseconds body_timeout{10'000};
  std::chrono::milliseconds write_timeout{30'000};
  size_t least_bytes_per_second = 50'000;
  // Between two requests of a connection; then it is closed without a word.
  std::chrono::milliseconds idle_timeout{60'000};
  // No answer takes longer (the backend has its own, shorter deadlines); 504 after.
  std::chrono::milliseconds handler_timeout{30'000};
  // How long bytes that nobody wants are still read after an early answer: closing at once would
  // reset the connection, and the client might never see why.
  std::chrono::milliseconds linger_timeout{2'000};

  int requests_per_connection = 1000;
  // Then the next answer closes it, so that balancers can spread clients anew.
  std::chrono::milliseconds connection_age{600'000};
  size_t connections = 10'000;
  // From one address (IPv6: one /64). High, since a proxy in front is one address for all.
  size_t connections_per_address = 2'000;
};

}  // namespace emotion::gateway

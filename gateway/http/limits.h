// Every bound of the HTTP server, each against one way to wear it out.
//
// The deadlines are separate, so that a slow reader, a slow sender and an idle browser are each
// treated as what they are. The defaults suit a public service; tests shorten them.
#pragma once

#include <chrono>
#include <cstddef>

namespace emotion::gateway {

// Bounds of one WebSocket. Beside them, its bytes count into HttpLimits::bodies_in_flight_bytes and
// it is one of HttpLimits::connections.
struct WebSocketLimits {
  size_t sockets = 16'000;  // open at once; one more is closed with 1013 after its handshake

  size_t text_bytes = 16 * 1024;                   // 1009 above
  size_t binary_bytes = size_t{4} << 20;           // read and dropped above, 1009 from twice of it
  std::chrono::milliseconds body_timeout{10'000};  // of one message, as HttpLimits::body_timeout

  // Messages of the client, control frames too; 1008 above. Four faces at 30 frames a second are
  // 240 messages a second.
  double messages_per_second = 500;
  double message_burst = 1000;

  // What waits to be written, besides the kernel's buffer: a reader that lets it grow over this, or
  // one message wait so long, is cut off.
  size_t queued_bytes = 256 * 1024;
  std::chrono::milliseconds queued_age{10'000};
  int kernel_send_bytes = 64 * 1024;

  std::chrono::milliseconds ping_period{20'000};
  // After a ping nothing came for so long: 3008.
  std::chrono::milliseconds pong_timeout{20'000};
  // From our close frame to the client's; then it is cut off.
  std::chrono::milliseconds close_timeout{5'000};
};

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
  // WebSockets included; at most nine tenths of the descriptors that the process may have.
  size_t connections = 20'000;
  // From one address (IPv6: one /64). High, since a proxy in front is one address for all.
  size_t connections_per_address = 12'000;

  WebSocketLimits web_socket = {};
};

}  // namespace emotion::gateway

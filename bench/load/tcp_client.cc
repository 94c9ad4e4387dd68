#include "bench/load/tcp_client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "bench/load/link.h"

namespace emotion::bench {

boost::system::error_code BindTo(TcpSocket& socket, uint32_t source) {
  using boost::asio::ip::tcp;
  boost::system::error_code error;
  socket.open(tcp::v4(), error);
  if (error) return error;
  const int on = 1;
  setsockopt(socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  socket.set_option(tcp::no_delay(true), error);
  socket.bind({boost::asio::ip::address_v4(source), 0}, error);
  return error;
}

std::string SessionName(size_t session) { return fmt::format("bench-{}", session); }

uint32_t SourceAddress(uint32_t subject) {
  constexpr uint32_t kFirst = 0x7f010001;  // 127.1.0.1
  constexpr uint32_t kLast = 250;          // no .0 and no .255
  return kFirst + subject / kLast * 256 + subject % kLast;
}

}  // namespace emotion::bench

#include "gateway/http/address.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

#include "fmt/format.h"

namespace emotion::gateway {

std::string AddressGroup(std::string_view address) {
  const std::string text(address.substr(0, address.find('%')));
  in6_addr bytes{};
  if (inet_pton(AF_INET6, text.c_str(), &bytes) != 1) return std::string(address);
  std::fill(std::begin(bytes.s6_addr) + 8, std::end(bytes.s6_addr), uint8_t{0});
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(AF_INET6, &bytes, out.data(), out.size());
  return fmt::format("{}/64", out.data());
}

}  // namespace emotion::gateway

// Addresses of clients, as text.
#pragma once

#include <string>
#include <string_view>

namespace emotion::gateway {

// What an address is counted as: IPv4 itself, IPv6 its /64 ("2001:db8:0:1::/64"), since one
// customer has at least that many addresses. What is not an address is itself.
std::string AddressGroup(std::string_view address);

}  // namespace emotion::gateway

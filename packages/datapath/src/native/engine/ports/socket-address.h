// Endpoints as the kernel wants them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "../packets.h"

namespace i3 {

// A name of either family; sockaddr_in6 also holds sockaddr_in, which is shorter.
Endpoint endpoint_of(const sockaddr_in6& name);
// An IPv4 address as it stands in an endpoint.
std::array<uint8_t, 16> mapped(const in_addr& address);
// The length of the name; 0 when a socket of this family cannot reach the address.
socklen_t fill_name(sockaddr_in6& name, const Endpoint& endpoint, bool is_v6);

}  // namespace i3

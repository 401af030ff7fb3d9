#include "socket-address.h"

#include <cstring>

namespace i3 {
namespace {

constexpr std::array<uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Endpoint endpoint_of(const sockaddr_in6& name) {
  Endpoint endpoint;
  const MutableBytes bytes(endpoint.bytes);
  if (name.sin6_family == AF_INET6) {
    std::memcpy(bytes.data(), &name.sin6_addr, 16);
  } else {
    sockaddr_in name4{};
    std::memcpy(&name4, &name, sizeof name4);
    copy_to(bytes, 0, mapped_prefix);
    std::memcpy(bytes.data() + mapped_prefix.size(), &name4.sin_addr, 4);
  }
  // Both kinds have the port at the same place, big-endian as ours.
  store(bytes, Endpoint::port_offset, name.sin6_port);
  return endpoint;
}

std::array<uint8_t, 16> mapped(const in_addr& address) {
  std::array<uint8_t, 16> bytes{};
  copy_to(bytes, 0, mapped_prefix);
  std::memcpy(bytes.data() + mapped_prefix.size(), &address, sizeof address);
  return bytes;
}

socklen_t fill_name(sockaddr_in6& name, const Endpoint& endpoint, bool is_v6) {
  name = {};
  if (is_v6) {
    name.sin6_family = AF_INET6;
    std::memcpy(&name.sin6_addr, endpoint.bytes.data(), 16);
    name.sin6_port = load<in_port_t>(endpoint.bytes, Endpoint::port_offset);
    return sizeof name;
  }
  if (!endpoint.is_mapped()) return 0;
  sockaddr_in name4{};
  name4.sin_family = AF_INET;
  std::memcpy(&name4.sin_addr, endpoint.bytes.data() + mapped_prefix.size(), 4);
  name4.sin_port = load<in_port_t>(endpoint.bytes, Endpoint::port_offset);
  std::memcpy(&name, &name4, sizeof name4);
  return sizeof name4;
}

}  // namespace i3

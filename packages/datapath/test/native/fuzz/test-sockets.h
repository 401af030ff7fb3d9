// Sockets and devices of the tests' own, beside those of the ports: in a network namespace where this process is root.
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "../../../src/native/unique-fd.h"
#include "checking-sink.h"
#include "ports/socket-address.h"

namespace i3::test {

constexpr int udp_segment_option = 103;  // linux/udp.h
constexpr uint32_t loopback_address = 0x7f00'0001;

inline sockaddr_in name4(uint32_t address, uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(address);
  name.sin_port = htons(port);
  return name;
}

class TestSocket {
 public:
  explicit TestSocket(uint32_t address = loopback_address, uint16_t port = 0, int protocol = 0) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, protocol)) {
    const sockaddr_in name = name4(address, port);
    const timeval patience{60, 0};
    CHECK(bind(fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    set(SOL_SOCKET, SO_RCVTIMEO, patience);
    sockaddr_in6 bound{};
    socklen_t size = sizeof bound;
    CHECK(getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    endpoint_ = endpoint_of(bound);
  }
  int fd() const { return fd_.get(); }
  const Endpoint& endpoint() const { return endpoint_; }

  template <typename Value>
  void set(int level, int name, const Value& value) const { CHECK(setsockopt(fd(), level, name, &value, sizeof value) == 0); }

  // The next datagram; waits for it.
  std::vector<uint8_t> receive() const {
    std::vector<uint8_t> bytes(65'536);
    const ssize_t length = recv(fd(), bytes.data(), bytes.size(), 0);
    CHECK(length >= 0);
    bytes.resize(static_cast<size_t>(length));
    return bytes;
  }
  bool is_quiet() const {
    uint8_t byte = 0;
    return recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  // As a train when `segment_bytes` is not 0. errno, 0 when it went well.
  int send(const Endpoint& to, Bytes bytes, uint16_t segment_bytes = 0) const {
    sockaddr_in6 name{};
    iovec vector{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof segment_bytes)> control{};
    msghdr header{};
    header.msg_name = &name;
    header.msg_namelen = fill_name(name, to, false);
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    if (segment_bytes != 0) {
      const cmsghdr head{CMSG_LEN(sizeof segment_bytes), IPPROTO_UDP, udp_segment_option};
      std::memcpy(control.data(), &head, sizeof head);
      std::memcpy(control.data() + CMSG_LEN(0), &segment_bytes, sizeof segment_bytes);
      header.msg_control = control.data();
      header.msg_controllen = control.size();
    }
    return sendmsg(fd(), &header, 0) < 0 ? errno : 0;
  }

 private:
  i3io::UniqueFd fd_;
  Endpoint endpoint_;
};

// Changes a network device; `fill` sets the request's field.
template <typename Fill>
void set_device(std::string_view name, unsigned long request, Fill fill) {
  const i3io::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq wanted{};
  CHECK(name.size() < sizeof wanted.ifr_name);
  std::copy(name.begin(), name.end(), std::begin(wanted.ifr_name));
  fill(wanted);
  CHECK(ioctl(socket.get(), request, &wanted) == 0);
}
inline void set_up(std::string_view name) {
  set_device(name, SIOCSIFFLAGS, [](ifreq& wanted) { wanted.ifr_flags = IFF_UP | IFF_RUNNING; });
}
inline void set_mtu(std::string_view name, int mtu) {
  set_device(name, SIOCSIFMTU, [mtu](ifreq& wanted) { wanted.ifr_mtu = mtu; });
}
// With a prefix of 24 bits.
inline void set_address(std::string_view name, uint32_t address) {
  const auto put = [name](unsigned long request, uint32_t value) {
    set_device(name, request, [value](ifreq& wanted) {
      const sockaddr_in made = name4(value, 0);
      std::memcpy(&wanted.ifr_addr, &made, sizeof made);
    });
  };
  put(SIOCSIFADDR, address);
  put(SIOCSIFNETMASK, 0xffff'ff00);
}

}  // namespace i3::test

#include "udp-socket.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace i3 {
namespace {

constexpr int udp_gro = 104;  // linux/udp.h

// A socket of both families has fields of both.
bool set_traffic_class(int fd, bool is_v6) {
  return set_option(fd, SOL_IP, IP_RECVTOS, 1) && (!is_v6 || set_option(fd, SOL_IPV6, IPV6_RECVTCLASS, 1));
}

}  // namespace

bool set_option(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value) == 0; }

void set_udp_buffers(int fd, int bytes) {
  if (bytes == 0) return;
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
  if (!set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes)) (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

int bound_port(int fd) {
  sockaddr_in6 name{};
  socklen_t size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) < 0) return -1;
  return ntohs(name.sin6_port);  // sockaddr_in has its port at the same place
}

std::optional<PortError> UdpSocket::configure(const UdpOptions& options, bool several, bool first) {
  const int fd = fd_.get();
  if (options.is_v6 && !set_option(fd, SOL_IPV6, IPV6_V6ONLY, 0)) return PortError{errno, "setsockopt", "IPV6_V6ONLY"};
  if (options.mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &options.mark, sizeof options.mark) < 0) {
    return PortError{errno, "setsockopt", "SO_MARK"};
  }
  set_udp_buffers(fd, options.buffer_bytes);
  const bool tells = options.via == Via::udp || (options.is_v6 ? set_option(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1) : set_option(fd, SOL_IP, IP_PKTINFO, 1));
  if (!tells) return PortError{errno, "setsockopt", "IP_PKTINFO"};
  // The first socket binds without SO_REUSEPORT: with it another engine of the same user, which has it too, would not be noticed, and both
  // would share the port. Set afterwards it lets the other workers' sockets in.
  if (several && !first && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return PortError{errno, "setsockopt", "SO_REUSEPORT"};
  if (bind(fd, reinterpret_cast<const sockaddr*>(&options.name), options.name_bytes) < 0) return PortError{errno, "bind"};
  if (several && first && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return PortError{errno, "setsockopt", "SO_REUSEPORT"};
  return std::nullopt;
}

std::optional<PortError> UdpSocket::open(const UdpOptions& options, bool several, bool first, const Offloads& wanted) {
  fd_ = i3io::UniqueFd(socket(options.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return PortError{errno, "socket"};
  if (auto error = configure(options, several, first)) return error;
  const int port = bound_port(fd());
  if (port < 0) return PortError{errno, "getsockname"};
  port_ = static_cast<uint16_t>(port);
  receiver_.set_way(options.via);
  receives_trains_ = wanted.udp_receive && set_option(fd(), SOL_UDP, udp_gro, 1);
  has_traffic_class_ = wanted.traffic_class && set_traffic_class(fd(), options.is_v6);
  Offloads possible = wanted;
  possible.traffic_class = has_traffic_class_;
  sender_.open(fd(), options.is_v6, possible);
  sender_.keep_whole();
  return std::nullopt;
}

bool UdpSocket::has_lost() {
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  if (getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, memory.data(), &length) != 0) return false;
  const bool more = std::exchange(drops_, memory[SK_MEMINFO_DROPS]) != memory[SK_MEMINFO_DROPS];
  // Anybody can send what has a wrong checksum, which counts too: half full, and it may have been whole.
  return more && memory[SK_MEMINFO_RMEM_ALLOC] >= memory[SK_MEMINFO_RCVBUF] / 2;
}

}  // namespace i3

// Why a port could not be opened, or broke.
#pragma once

#include <cerrno>

namespace i3 {

enum class PortKind : unsigned char { tun, udp };

struct PortError {
  int number = 0;
  // Both are literals.
  const char* call = "";
  const char* detail = nullptr;
};

// Errors of the socket or of this program, which the next datagram would meet as well; not what came in by ICMP for an earlier one.
inline bool is_socket_broken(int error) { return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EOPNOTSUPP; }

}  // namespace i3

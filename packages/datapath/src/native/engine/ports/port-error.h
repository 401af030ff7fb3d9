// Why a port could not be opened, or broke.
#pragma once

namespace i3 {

enum class PortKind : unsigned char { tun, udp };

struct PortError {
  int number = 0;
  // Both are literals.
  const char* call = "";
  const char* detail = nullptr;
};

}  // namespace i3

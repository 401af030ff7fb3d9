// Answers to programs: "nobody is there" (RFC 792 type 3 code 1; RFC 4443 §3.1 type 1 code 3), "too big" (RFC 1191; RFC 4443 §3.2),
// and, where it is translated, "too many hops" (RFC 792 type 11; RFC 4443 §3.3).
//
//     | IP header, source = where the packet was to go | type, code, checksum, 4 bytes (MTU) | as much of the packet as fits |
#pragma once

#include <vector>

#include "inner-packet.h"

namespace i3 {

// RFC 1122 §3.2.2, RFC 4443 §2.4 e. A packet of which that cannot be told is not answered either.
bool may_be_answered(Bytes packet);

struct IcmpError {
  uint8_t type4, code4, type6, code6;
  uint16_t mtu;
  static IcmpError unreachable() { return {3, 1, 1, 3, 0}; }
  static IcmpError too_big(uint16_t mtu) { return {3, 4, 2, 0, mtu}; }
  static IcmpError time_exceeded() { return {11, 0, 3, 0, 0}; }
};
// The largest answer.
constexpr size_t max_icmp_error_bytes = 1'280;
// Writes the answer into `out` and returns it.
MutableBytes make_icmp_error(MutableBytes out, const IcmpError& error, Bytes packet);

}  // namespace i3

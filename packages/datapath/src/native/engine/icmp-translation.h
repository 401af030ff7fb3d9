// ICMP as ICMPv6 and the other way round (RFC 7915 §4.2, §5.2): echo, and errors with the packet that they quote (§4.3, §5.3).
#pragma once

#include "ip-translation.h"

namespace i3 {

struct IcmpEnds {
  // Of what is translated.
  unsigned version;
  // As the message's IP header has them.
  AddressPair own;
  // As in translate_packet.
  const AddressPair& before;
  const AddressPair& after;
};

// Writes the message into `out` and returns its length; of an error no more than `most` bytes. None: there is no such message in the other family, or it is about something else than
// a packet from `before.destination` to `before.source`. A wrong checksum stays wrong.
std::optional<size_t> translate_icmp(MutableBytes out, size_t most, Bytes message, const IcmpEnds& ends);

}  // namespace i3

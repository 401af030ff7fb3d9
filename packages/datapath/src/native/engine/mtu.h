// Path MTU: fragments (RFC 791 §2.3) and the MSS option of TCP SYNs (RFC 9293 §3.7.1).
#pragma once

#include "checksum-state.h"

namespace i3 {

// A flow without a limit of its own.
constexpr uint16_t no_mtu = 65'535;
// Of a flow: RFC 791 §3.1. IPv6 packets of up to RFC 8200 §5's least pass whatever it is.
constexpr uint16_t least_mtu = 576, least_mtu6 = 1'280;

// Lowers the MSS option of a SYN to what fits `mtu`.
void clamp_mss(MutableBytes packet, const Transport& transport, uint16_t mtu, ChecksumState state);
// Writes the piece of `packet` (IPv4 without options) whose data begin at `at` into `out` and returns its length.
size_t make_fragment(MutableBytes out, Bytes packet, size_t at, size_t piece_bytes);

}  // namespace i3

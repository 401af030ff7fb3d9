// The checksum of a TCP or UDP packet: in the packet, or still to be computed (docs/datapath.md, "Checksum states").
#pragma once

#include "inner-packet.h"
#include "packets.h"

namespace i3 {

// CHECKSUM in src/reference/step.ts.
enum class ChecksumState : uint8_t { complete = 0, partial = 1, verified = 2 };

// Where the checksum field of a TCP or UDP packet is; none when it has none that is whole and its own.
std::optional<size_t> checksum_field(Bytes packet, const Transport& transport);
inline std::optional<size_t> checksum_field(Bytes packet) { return checksum_field(packet, find_transport(packet)); }

// The folded sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) of `transport_bytes` bytes.
uint16_t pseudo_sum(Bytes packet, uint8_t protocol, size_t transport_bytes);

// `partial` becomes `complete` when there is no such field.
ChecksumState effective_state(Bytes packet, ChecksumState state);
// Completes a partial checksum; changes nothing when the packet has no such field.
void complete_checksum(MutableBytes packet);

// The state of a packet that a TUN with vnet header yields. A checksum to compute that is none of TCP or UDP is computed at once.
ChecksumState take_checksum_state(MutableBytes packet, const VnetHeader& vnet);

}  // namespace i3

// A packet of IPv4 as one of IPv6 and the other way round (RFC 7915; docs/datapath.md, "Translation"), a copy: the two differ in length.
//
//     | IPv4 20, options | TCP, UDP, ICMP … |      ↔      | IPv6 40 | fragment header 8 or none | TCP, UDP, ICMPv6 … |
#pragma once

#include <atomic>

#include "checksum-state.h"

namespace i3 {

// How much longer a packet becomes at most: its header, a fragment header, and the same of a packet that it quotes.
constexpr size_t translation_growth = 56;
// What every link of IPv6 carries; what may be fragmented is never longer towards links that are not known (RFC 7915 §4).
constexpr size_t translated_piece_bytes = 1'280;

struct AddressPair {
  Bytes source;
  Bytes destination;
};

inline uint8_t hops_left(Bytes packet) { return u8(packet, inner_version(packet) == 4 ? ipv4::ttl : ipv6::hop_limit); }
// IPv4 that routers may cut, so that IPv6 made of it may be too.
inline bool may_be_cut(Bytes packet) { return inner_version(packet) == 4 && (u16(packet, ipv4::fragment) & ipv4::dont_fragment) == 0; }

// Writes the packet (as long as inner_length says, a hop less to go) into `out`, which has room for translation_growth more bytes, and returns its length; none: it has no meaning
// in the other family (RFC 7915 §4, §5), or its checksum cannot be mended. `before`: between whom it is, which the source of an ICMP error need not say; what that quotes
// is from the one to the other. `identifications`: of IPv4 packets that may be fragmented.
std::optional<size_t> translate_packet(MutableBytes out, Bytes packet, const AddressPair& before, const AddressPair& after, ChecksumState state, std::atomic<uint16_t>& identifications);

// Writes the piece of an IPv6 packet that translate_packet made, whose data begin at `at`, into `out` and returns its length (RFC 8200 §4.5). `identification`: of
// one that was no fragment yet.
size_t make_fragment6(MutableBytes out, Bytes packet, size_t at, size_t piece_bytes, uint32_t identification);
constexpr size_t fragment_header_bytes6 = 8;
// Where the data begin that can be cut.
inline size_t data_offset6(Bytes packet) { return ipv6::header_bytes + (u8(packet, ipv6::next_header) == protocol::fragment ? fragment_header_bytes6 : 0); }
// A fragment that would end beyond the largest packet is no fragment of any.
inline bool ends_in_range6(Bytes packet) {
  const size_t data_at = data_offset6(packet);
  const size_t first = data_at == ipv6::header_bytes ? 0 : u16(packet, ipv6::header_bytes + 2) & 0xfff8u;
  return first + packet.size() - data_at <= 65'535;
}

}  // namespace i3

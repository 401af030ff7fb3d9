// Form of the IP packets that programs send and receive (docs/datapath.md, "From the TUN" 1 and 2; RFC 791 §3.1, RFC 8200 §3).
#pragma once

#include <optional>

#include "bytes.h"

namespace i3 {

namespace ipv4 {
constexpr size_t min_bytes = 20, tos = 1, total_length = 2, identification = 4, fragment = 6, ttl = 8, protocol = 9, checksum = 10, source = 12, destination = 16;
constexpr uint16_t dont_fragment = 0x4000, more_fragments = 0x2000, offset_mask = 0x1fff;
}  // namespace ipv4
namespace ipv6 {
constexpr size_t header_bytes = 40, payload_length = 4, next_header = 6, hop_limit = 7, source = 8, destination = 24;
}
namespace protocol {
constexpr uint8_t hop_by_hop = 0, icmp = 1, ipv4 = 4, tcp = 6, udp = 17, ipv6 = 41, routing = 43, fragment = 44, icmp6 = 58, none = 59, destination_options = 60;
}
namespace tcp {
constexpr size_t min_bytes = 20, sequence = 4, acknowledgement = 8, data_offset = 12, flags = 13, window = 14, checksum = 16, urgent = 18;
constexpr uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32, ece = 64, cwr = 128;
}  // namespace tcp
namespace udp {
constexpr size_t header_bytes = 8, length = 4, checksum = 6;
}

inline unsigned inner_version(Bytes packet) { return u8(packet, 0) >> 4; }
inline size_t ipv4_header_bytes(Bytes packet) { return (u8(packet, 0) & 0x0fu) * 4u; }
inline size_t source_offset(unsigned version) { return version == 4 ? ipv4::source : ipv6::source; }
inline size_t destination_offset(unsigned version) { return version == 4 ? ipv4::destination : ipv6::destination; }
inline size_t address_bytes(unsigned version) { return version == 4 ? 4 : 16; }
inline Bytes source_of(Bytes packet) {
  const unsigned version = inner_version(packet);
  return part(packet, source_offset(version), address_bytes(version));
}
inline Bytes destination_of(Bytes packet) {
  const unsigned version = inner_version(packet);
  return part(packet, destination_offset(version), address_bytes(version));
}

// The packet's length by its own header (what follows is cut off); none when it is malformed.
std::optional<size_t> inner_length(Bytes packet);
// The destination can be no peer's: multicast, broadcast or link-local.
bool is_unassignable(Bytes packet);
// It may be the address of one host that is reached over a network: not "this", loopback, link-local, multicast or reserved (RFC 1122 §3.2.1.3, RFC 1112 §4, RFC 4291 §2.4).
bool is_one_host(Bytes address);
// The sender is one host that an answer can reach (RFC 1122 §3.2.2, RFC 4443 §2.4 e.6).
bool is_single_host_source(Bytes packet);
// IPv4 options that cannot be walked, or a source route (RFC 791 §3.1, RFC 7126 §4.3-4.4).
bool has_refused_options4(Bytes packet);

// DSCP and ECN bits.
uint8_t traffic_class(Bytes packet);
// Writes them, with the IPv4 header's checksum.
void set_traffic_class(MutableBytes packet, uint8_t value);
// RFC 6040 §4.2, at the end of a tunnel. False: the packet must be dropped.
bool combine_ecn(MutableBytes packet, uint8_t outer_class);

// Where the transport header is; `offset` may be the packet's length.
struct Transport {
  enum class Kind : uint8_t { found, later_fragment, broken_chain };
  Kind kind = Kind::found;
  uint8_t protocol = 0;
  size_t offset = 0;

  bool found() const { return kind == Kind::found; }
};
// The packet is as long as inner_length said.
Transport find_transport(Bytes packet);

constexpr uint8_t icmp_echo_request4 = 8, icmp_echo_request6 = 128;
// What a host sends by itself to whoever asks, and no program decides (docs/datapath.md, "Counters of flows"). Later fragments count with it: they do not show what they are.
bool is_answer(Bytes packet);

bool is_icmp_error4(uint8_t type);
bool is_icmp_error6(uint8_t type);
// RFC 4443 §2.1, §2.4 c: every error quotes a packet, at the same place in all types that there are; receivers look there in others too.
inline bool quotes_packet6(uint8_t type) { return type < 128; }

}  // namespace i3

#include "inner-packet.h"

#include <algorithm>

#include "checksum.h"
#include "limits.h"

namespace i3 {
namespace {

constexpr uint8_t ecn_mask = 3, ecn_not_ect = 0, ecn_ect1 = 1, ecn_ect0 = 2, ecn_ce = 3;

std::optional<size_t> ipv4_length(Bytes packet) {
  const size_t header = ipv4_header_bytes(packet);
  const size_t total = u16(packet, ipv4::total_length);
  if (header < ipv4::min_bytes || total < header || total > packet.size()) return std::nullopt;
  return total;
}

// Payload length 0 before a hop-by-hop header, which holds the length (RFC 2675 §3): longer than any datagram that could carry it.
bool is_jumbogram(Bytes packet) { return u16(packet, ipv6::payload_length) == 0 && u8(packet, ipv6::next_header) == protocol::hop_by_hop; }

bool is_extension_header(uint8_t next) {
  return next == protocol::hop_by_hop || next == protocol::routing || next == protocol::destination_options || next == protocol::fragment;
}

constexpr Transport broken{Transport::Kind::broken_chain, 0, 0};
constexpr Transport later_fragment{Transport::Kind::later_fragment, 0, 0};

Transport walk_extension_headers(Bytes packet) {
  uint8_t next = u8(packet, ipv6::next_header);
  size_t offset = ipv6::header_bytes;
  for (size_t walked = 0; is_extension_header(next); walked++) {
    if (walked == limits::extension_headers || offset + 8 > packet.size()) return broken;
    if (next == protocol::fragment && (u16(packet, offset + 2) & 0xfff8) != 0) return later_fragment;
    // Segments left: the pseudo-header holds the last of them, not the header's destination, and the packet would travel on.
    if (next == protocol::routing && u8(packet, offset + 3) != 0) return broken;
    const size_t step = next == protocol::fragment ? 8 : (u8(packet, offset + 1) + size_t{1}) * 8;
    next = u8(packet, offset);
    offset += step;
  }
  return offset <= packet.size() ? Transport{Transport::Kind::found, next, offset} : broken;
}

}  // namespace

std::optional<size_t> inner_length(Bytes packet) {
  if (packet.size() < ipv4::min_bytes) return std::nullopt;
  const unsigned version = inner_version(packet);
  if (version == 4) return ipv4_length(packet);
  if (version != 6 || packet.size() < ipv6::header_bytes || is_jumbogram(packet)) return std::nullopt;
  const size_t total = ipv6::header_bytes + u16(packet, ipv6::payload_length);
  return total <= packet.size() ? std::optional(total) : std::nullopt;
}

bool is_unassignable(Bytes packet) {
  if (inner_version(packet) == 4) {
    const uint32_t address = u32(packet, ipv4::destination);
    return address >> 28 == 0xe || address == 0xffff'ffff || address >> 16 == 0xa9fe;
  }
  const uint16_t first = u16(packet, ipv6::destination);
  return first >> 8 == 0xff || (first & 0xffc0) == 0xfe80;
}

bool is_one_host(Bytes address) {
  if (address.size() == 4) {
    const uint8_t first = u8(address, 0);
    return first != 0 && first != 127 && first < 224 && u16(address, 0) != 0xa9fe;
  }
  const bool is_low = u64(address, 0) == 0 && u64(address, 8) <= 1;
  return !is_low && u8(address, 0) != 0xff && (u16(address, 0) & 0xffc0) != 0xfe80;
}

bool is_single_host_source(Bytes packet) {
  if (inner_version(packet) == 4) {
    const uint8_t first = u8(packet, ipv4::source);
    return first != 0 && first != 127 && first < 224;
  }
  if (u8(packet, ipv6::source) == 0xff) return false;
  const Bytes source = source_of(packet);
  return std::any_of(source.begin(), source.end(), [](uint8_t byte) { return byte != 0; });
}

bool has_refused_options4(Bytes packet) {
  constexpr uint8_t end_of_options = 0, no_operation = 1, loose_route = 0x83, strict_route = 0x89;
  const size_t end = ipv4_header_bytes(packet);
  size_t option = ipv4::min_bytes;
  while (option < end) {
    const uint8_t type = u8(packet, option);
    if (type == end_of_options) return false;
    if (type == loose_route || type == strict_route) return true;
    const size_t least = type == no_operation ? 1 : 2;
    const size_t length = type == no_operation ? 1 : option + 1 < end ? u8(packet, option + 1) : 0;
    if (length < least || option + length > end) return true;
    option += length;
  }
  return false;
}

uint8_t traffic_class(Bytes packet) {
  if (inner_version(packet) == 4) return u8(packet, ipv4::tos);
  return static_cast<uint8_t>(u16(packet, 0) >> 4);
}

void set_traffic_class(MutableBytes packet, uint8_t value) {
  const uint16_t before = u16(packet, 0);
  if (inner_version(packet) == 4) {
    put8(packet, ipv4::tos, value);
    adjust_checksum(packet, ipv4::checksum, word_delta(before, u16(packet, 0)));
  } else {
    put16(packet, 0, (before & 0xf00fu) | static_cast<unsigned>(value << 4));
  }
}

bool combine_ecn(MutableBytes packet, uint8_t outer_class) {
  const uint8_t inner = traffic_class(packet);
  const uint8_t inner_ecn = inner & ecn_mask;
  const uint8_t outer_ecn = outer_class & ecn_mask;
  if (inner_ecn == ecn_not_ect) return outer_ecn != ecn_ce;
  const bool marks = outer_ecn == ecn_ce || (outer_ecn == ecn_ect1 && inner_ecn == ecn_ect0);
  if (marks && inner_ecn != ecn_ce) set_traffic_class(packet, static_cast<uint8_t>((inner & ~ecn_mask) | outer_ecn));
  return true;
}

Transport find_transport(Bytes packet) {
  if (inner_version(packet) == 6) return walk_extension_headers(packet);
  if ((u16(packet, ipv4::fragment) & ipv4::offset_mask) != 0) return later_fragment;
  return {Transport::Kind::found, u8(packet, ipv4::protocol), ipv4_header_bytes(packet)};
}

// RFC 792, RFC 1122 §3.2.2: the types that quote a packet.
bool is_icmp_error4(uint8_t type) { return type == 3 || type == 4 || type == 5 || type == 11 || type == 12; }

// RFC 4443 §2.1: the high bit says "not an error"; redirects (RFC 4861 §4.5) count as errors in its §2.4 e.2.
bool is_icmp_error6(uint8_t type) { return type < 128 || type == 137; }

bool is_answer(Bytes packet) {
  const Transport transport = find_transport(packet);
  if (transport.kind == Transport::Kind::later_fragment) return true;
  if (!transport.found()) return false;
  const size_t flags_at = transport.offset + tcp::flags;
  switch (transport.protocol) {
    case protocol::icmp: return transport.offset >= packet.size() || u8(packet, transport.offset) != icmp_echo_request4;
    case protocol::icmp6: return transport.offset >= packet.size() || u8(packet, transport.offset) != icmp_echo_request6;
    case protocol::tcp: return flags_at < packet.size() && ((u8(packet, flags_at) & tcp::rst) != 0 || (u8(packet, flags_at) & (tcp::syn | tcp::ack)) == (tcp::syn | tcp::ack));
    default: return false;
  }
}

}  // namespace i3

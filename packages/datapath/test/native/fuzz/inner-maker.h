// IP packets from arbitrary bytes, of which as many fields as the choices say are made right, so that rules behind the checks are reached.
#pragma once

#include <optional>

#include "checking-sink.h"
#include "choices.h"

namespace i3::test {

constexpr uint8_t peers = 16;

// One of the peers, or this host, of a packet's family.
inline std::vector<uint8_t> address_of(unsigned version, uint8_t n) { return version == 4 ? address4(n) : address6(n); }

// How a packet is mended: bits of one byte.
struct Mend {
  explicit Mend(uint8_t bits) : version((bits & 1) != 0 ? 6 : 4), length((bits & 2) == 0), addresses((bits & 4) == 0), transport((bits & 8) == 0), plain((bits & 16) != 0), sums((bits & 32) != 0), special((bits & 64) != 0), elsewhere((bits & 128) != 0) {}
  unsigned version;
  bool length, addresses, transport;
  // No options, DF, TTL 64: what BEET takes and neighbours need to join.
  bool plain;
  bool sums;
  // A SYN with an MSS option, or an ICMP error with a quoted packet.
  bool special;
  // To another than this host.
  bool elsewhere;
};

inline void put_sum(MutableBytes packet, size_t at, uint8_t next) {
  const size_t field = at + (next == 6 ? 16u : next == 17 ? 6u : 2u);
  if (field + 2 > packet.size()) return;
  put16(packet, field, 0);
  const bool is_v4 = packet[0] >> 4 == 4;
  const Bytes addresses = is_v4 ? packet.subspan(12, 8) : packet.subspan(8, 32);
  const bool has_pseudo = next == 6 || next == 17 || next == 58;
  const uint32_t pseudo = has_pseudo ? naive_sum(addresses, static_cast<uint32_t>(packet.size() - at) + next) : 0;
  put16(packet, field, static_cast<uint16_t>(~naive_sum(packet.subspan(at), pseudo)));
}

inline void mend(MutableBytes packet, const Mend& how, uint8_t from, uint8_t to, uint8_t next);

inline void put_syn(MutableBytes segment) {
  constexpr size_t header_bytes = 32;
  if (segment.size() < header_bytes) return;
  const size_t skipped = segment[20] & 3u;
  put8(segment, 12, header_bytes / 4 << 4);
  put8(segment, 13, 2);
  for (size_t i = 0; i < skipped; i++) put8(segment, 20 + i, 1);
  put8(segment, 20 + skipped, 2);
  put8(segment, 21 + skipped, 4);
}

// It quotes what this host sent, or the other way round.
inline void put_error(MutableBytes message, const Mend& how, uint8_t from, uint8_t to) {
  if (message.size() < 8) return;
  const uint8_t bits = message[0];
  put8(message, 0, how.version == 6 ? 1 + (bits & 3) : (bits & 1) != 0 ? 3 : 11);
  Mend quoted = how;
  quoted.special = false;
  quoted.length = (bits & 4) != 0;
  mend(message.subspan(8), quoted, to, from, (bits & 8) != 0 ? 6 : (bits & 16) != 0 ? 17 : how.version == 6 ? 58 : 1);
}

// `from`, `to`: numbers of hosts. Changes `packet` in place; too short a one is left as it is.
inline void mend(MutableBytes packet, const Mend& how, uint8_t from, uint8_t to, uint8_t next) {
  const size_t header = how.version == 4 ? 20 : 40;
  if (packet.size() < header) return;
  put8(packet, 0, (how.version << 4) | (how.version == 4 && !how.plain ? std::max(5u, packet[0] & 15u) : how.version == 4 ? 5u : packet[0] & 15u));
  if (how.length) put16(packet, how.version == 4 ? 2 : 4, static_cast<unsigned>(how.version == 4 ? packet.size() : packet.size() - 40));
  if (how.addresses) {
    copy_to(packet, how.version == 4 ? 12 : 8, address_of(how.version, from));
    copy_to(packet, how.version == 4 ? 16 : 24, address_of(how.version, to));
  }
  if (how.transport) put8(packet, how.version == 4 ? 9 : 6, next);
  if (how.plain) {
    if (how.version == 4) put16(packet, 6, 0x4000);
    put8(packet, how.version == 4 ? 8 : 7, 64);
    if (next == 6 && packet.size() >= header + 20) put8(packet, header + 12, 0x50 | (packet[header + 12] & 0x30));
    if (next == 17 && packet.size() >= header + 8) put16(packet, header + 4, static_cast<unsigned>(packet.size() - header));
  }
  if (how.special && next == 6) put_syn(packet.subspan(header));
  if (how.special && (next == 1 || next == 58)) put_error(packet.subspan(header), how, from, to);
  if (how.sums && how.version == 4) {
    const size_t length = (packet[0] & 15u) * size_t{4};
    put16(packet, 10, 0);
    if (length <= packet.size()) put16(packet, 10, static_cast<uint16_t>(~naive_sum(packet.first(length))));
  }
  if (how.sums) put_sum(packet, header, next);
}

inline uint8_t choose_protocol(Choices& choices) {
  static const std::vector<uint8_t> common{6, 17, 1, 58, 0, 43, 44, 60, 4, 41, 59, 50};
  return choices.of(common);
}

// A length from one byte: mostly small, now and then around the bounds.
inline size_t choose_length(Choices& choices) {
  static const std::vector<size_t> large{576, 577, 1'280, 1'281, 1'400, 9'000, 65'535, 64'000};
  const uint8_t byte = choices.byte();
  return byte < 240 ? byte : large[byte & 7];
}

// Bytes of the input, and then a pattern, up to a length that the input says.
inline std::vector<uint8_t> choose_bytes(Choices& choices, size_t most) {
  const size_t length = std::min(choose_length(choices), most);
  const Bytes given = choices.take(std::min<size_t>(length, choices.byte()));
  std::vector<uint8_t> made(given.begin(), given.end());
  while (made.size() < length) made.push_back(static_cast<uint8_t>(made.size() * 7));
  return made;
}

// Of any peer, or of that one.
inline std::vector<uint8_t> choose_packet(Choices& choices, bool from_peer, size_t most = 65'535, std::optional<uint8_t> wanted = std::nullopt) {
  const Mend how(choices.byte());
  const uint8_t peer = wanted ? *wanted : static_cast<uint8_t>(choices.below(peers));
  const uint8_t next = choose_protocol(choices);
  std::vector<uint8_t> packet = choose_bytes(choices, most);
  mend(packet, how, from_peer ? peer : own, !from_peer ? peer : how.elsewhere ? uint8_t{14} : own, next);
  return packet;
}

// What a TUN with IFF_VNET_HDR says about a packet; often nothing.
inline VnetHeader choose_vnet(Choices& choices, Bytes packet) {
  VnetHeader vnet;
  const uint8_t bits = choices.byte();
  if ((bits & 3) == 0 || packet.size() < 40) return vnet;
  const bool is_v4 = packet[0] >> 4 == 4;
  const bool is_tcp = packet[is_v4 ? 9 : 6] == 6;
  vnet.flags = bits & 3;
  vnet.checksum_start = is_v4 ? 20 : 40;
  vnet.checksum_offset = is_tcp ? 16 : 6;
  if ((bits & 4) != 0) {
    vnet.gso_type = static_cast<uint8_t>(!is_tcp ? VnetHeader::gso_udp : is_v4 ? VnetHeader::gso_tcp4 : VnetHeader::gso_tcp6);
    vnet.gso_bytes = static_cast<uint16_t>(std::max(1u, unsigned{choices.byte()} * 8));
    vnet.header_bytes = static_cast<uint16_t>(vnet.checksum_start + (is_tcp ? 20 : 8));
  }
  if ((bits & 8) == 0) return vnet;
  vnet.gso_type = choices.byte();
  vnet.gso_bytes = choices.word();
  vnet.checksum_start = choices.word();
  vnet.checksum_offset = choices.word();
  vnet.header_bytes = choices.word();
  return vnet;
}

}  // namespace i3::test

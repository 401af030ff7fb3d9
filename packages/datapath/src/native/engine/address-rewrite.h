// Rewriting the addresses of a packet in place, with every checksum that covers them (docs/datapath.md, "To the TUN").
//
//     | IP header: source, destination, checksum (IPv4) | TCP, UDP, ICMPv6: checksum over the pseudo-header |
//     | ICMP error: checksum | unused 4 | quoted IP header | quoted transport, perhaps cut off |
#pragma once

#include "checksum-state.h"

namespace i3 {

// The two rewrites of one family, ready for packets.
struct RewritePlan {
  std::array<uint8_t, 16> source_from{}, source_to{}, destination_from{}, destination_to{};
  uint8_t address_size = 0;
  // An address differs: false when headers are preserved.
  bool changes = false;
  // Of both addresses together; the other way round (quoted packets) it is the same.
  uint32_t delta = 0;

  // `pairs`: source from, to, destination from, to; 4 × 4 or 4 × 16 bytes.
  static RewritePlan from_pairs(Bytes pairs);
  // For what another host than the source has sent, or another than the destination is to get: that address stays.
  enum class Side : uint8_t { source, destination };
  RewritePlan keeping(Side side, Bytes address) const;
  Bytes view(const std::array<uint8_t, 16>& address) const { return Bytes(address).first(address_size); }

 private:
  // What follows from the addresses.
  void settle();
};

// Where in an ICMP error the packet begins that it quotes.
constexpr size_t icmp_quote = 8;
// A message at `at` that quotes a packet.
bool is_quoting_error(Bytes packet, size_t at, unsigned version, uint8_t next);
// The packet carries the two `from` addresses of its family.
bool matches_plan(Bytes packet, const RewritePlan& plan);
// What an ICMP error quotes of a packet from the plan's destination: to whom it went, empty where that cannot be said, or it was another's. None: no error.
std::optional<Bytes> quoted_destination(Bytes packet, const Transport& transport, const RewritePlan& plan);
// An ICMP error, of a packet that matches, about anything else than a packet from the destination to the source, or about too little of
// one to say: a peer has nothing to tell about the way to others. Of fragments the first decides, without which there is no packet.
bool is_error_about_others(Bytes packet, const Transport& transport, const RewritePlan& plan);
// Rewrites a packet that matches and is no such error, and what it quotes, to which `quoted` applies the other way round.
void rewrite_addresses(MutableBytes packet, const Transport& transport, const RewritePlan& plan, const RewritePlan& quoted, ChecksumState state);

}  // namespace i3

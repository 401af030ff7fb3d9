// What a packet's IP header says in both families (RFC 7915 §4.1, §5.1).
#pragma once

#include "ip-translation.h"

namespace i3 {

struct TranslationHeader {
  unsigned version = 0;
  uint8_t traffic_class = 0;
  uint8_t hops = 0;
  // With options or extension headers skipped.
  uint8_t next = 0;
  size_t payload_at = 0;
  // By the header: of a quoted packet there may be less.
  size_t payload_bytes = 0;
  // IPv4 has offset or MF, IPv6 a fragment header, perhaps of all there is.
  bool is_fragment = false;
  bool more = false;
  // In units of 8 bytes.
  uint16_t offset = 0;
  uint32_t identification = 0;

  bool is_whole() const { return !more && offset == 0; }
  uint8_t icmp() const { return version == 4 ? protocol::icmp : protocol::icmp6; }
  // Of the header that is made of it.
  size_t made_bytes() const { return version == 6 ? ipv4::min_bytes : ipv6::header_bytes + (is_fragment ? fragment_header_bytes6 : 0); }
};

// None: it is not whole, cannot be walked, or leads elsewhere (segments left).
std::optional<TranslationHeader> read_translation_header(Bytes packet);
// Numbers of extension headers, of no payload, and of the ICMP of the other family: in the other family they would mean something else.
bool has_counterpart(uint8_t next);
// Writes made_bytes() before `payload_bytes`. `identifications` nullptr: a quoted packet.
void put_translation_header(MutableBytes out, const TranslationHeader& header, const AddressPair& after, size_t payload_bytes, std::atomic<uint16_t>* identifications);
// Of addresses that become others.
uint32_t addresses_delta(const AddressPair& before, const AddressPair& after);
inline AddressPair addresses_of(Bytes packet) { return {source_of(packet), destination_of(packet)}; }
// The folded sum of the pseudo-header of IPv6 (RFC 8200 §8.1), or of IPv4.
uint16_t pseudo_sum_of(const AddressPair& ends, uint8_t next, size_t bytes);

}  // namespace i3

#include "translation-header.h"

#include "checksum.h"
#include "limits.h"

namespace i3 {
namespace {

// RFC 7915 §5.1: what IPv6 carries whole and IPv4 may not.
constexpr size_t least_without_cutting = 1'260;
constexpr uint16_t offset_mask6 = 0xfff8, more_fragments6 = 1;

bool is_skipped(uint8_t next) { return next == protocol::hop_by_hop || next == protocol::routing || next == protocol::destination_options; }

std::optional<TranslationHeader> read4(Bytes packet) {
  TranslationHeader made;
  made.version = 4;
  const size_t header = packet.size() < ipv4::min_bytes ? 0 : ipv4_header_bytes(packet);
  if (header < ipv4::min_bytes || header > packet.size() || u16(packet, ipv4::total_length) < header) return std::nullopt;
  made.traffic_class = traffic_class(packet);
  made.hops = u8(packet, ipv4::ttl);
  made.next = u8(packet, ipv4::protocol);
  made.payload_at = header;
  made.payload_bytes = u16(packet, ipv4::total_length) - header;
  const uint16_t word = u16(packet, ipv4::fragment);
  made.more = (word & ipv4::more_fragments) != 0;
  made.offset = word & ipv4::offset_mask;
  made.is_fragment = made.more || made.offset != 0;
  made.identification = u16(packet, ipv4::identification);
  return made;
}

std::optional<TranslationHeader> read6(Bytes packet) {
  TranslationHeader made;
  made.version = 6;
  if (packet.size() < ipv6::header_bytes) return std::nullopt;
  made.traffic_class = traffic_class(packet);
  made.hops = u8(packet, ipv6::hop_limit);
  uint8_t next = u8(packet, ipv6::next_header);
  size_t at = ipv6::header_bytes;
  for (size_t walked = 0; is_skipped(next); walked++) {
    if (walked == limits::extension_headers || at + 8 > packet.size()) return std::nullopt;
    if (next == protocol::routing && u8(packet, at + 3) != 0) return std::nullopt;
    next = u8(packet, at);
    at += (u8(packet, at + 1) + size_t{1}) * 8;
  }
  if (next == protocol::fragment) {
    if (at + fragment_header_bytes6 > packet.size()) return std::nullopt;
    const uint16_t word = u16(packet, at + 2);
    made.is_fragment = true;
    made.more = (word & more_fragments6) != 0;
    made.offset = static_cast<uint16_t>((word & offset_mask6) >> 3);
    made.identification = u32(packet, at + 4);
    next = u8(packet, at);
    at += fragment_header_bytes6;
  }
  const size_t end = ipv6::header_bytes + u16(packet, ipv6::payload_length);
  if (at > packet.size() || at > end) return std::nullopt;
  made.next = next;
  made.payload_at = at;
  made.payload_bytes = end - at;
  return made;
}

void put6(MutableBytes out, const TranslationHeader& header, const AddressPair& after, size_t payload_bytes, uint8_t next, uint8_t hops) {
  put32(out, 0, 0x6000'0000 | static_cast<uint32_t>(header.traffic_class << 20));
  put16(out, ipv6::payload_length, static_cast<unsigned>(payload_bytes + (header.is_fragment ? fragment_header_bytes6 : 0)));
  put8(out, ipv6::next_header, header.is_fragment ? protocol::fragment : next);
  put8(out, ipv6::hop_limit, hops);
  copy_to(out, ipv6::source, after.source);
  copy_to(out, ipv6::destination, after.destination);
  if (!header.is_fragment) return;
  put16(out, ipv6::header_bytes, static_cast<unsigned>(next << 8));
  put16(out, ipv6::header_bytes + 2, static_cast<unsigned>(header.offset << 3) | (header.more ? more_fragments6 : 0u));
  put32(out, ipv6::header_bytes + 4, header.identification);
}

void put4(MutableBytes out, const TranslationHeader& header, const AddressPair& after, size_t payload_bytes, uint8_t next, uint8_t hops, std::atomic<uint16_t>* identifications) {
  const size_t total = ipv4::min_bytes + payload_bytes;
  const bool may_cut = !header.is_fragment && identifications != nullptr && total <= least_without_cutting;
  const unsigned word = header.is_fragment ? header.offset | (header.more ? unsigned{ipv4::more_fragments} : 0u) : may_cut ? 0u : unsigned{ipv4::dont_fragment};
  // One that is never fragmented needs none (RFC 6864 §4.1).
  const unsigned identification = header.is_fragment ? header.identification & 0xffff : may_cut ? identifications->fetch_add(1, std::memory_order_relaxed) : 0u;
  put16(out, 0, 0x4500u | header.traffic_class);
  put16(out, ipv4::total_length, static_cast<unsigned>(total));
  put16(out, ipv4::identification, identification);
  put16(out, ipv4::fragment, word);
  put8(out, ipv4::ttl, hops);
  put8(out, ipv4::protocol, next);
  put16(out, ipv4::checksum, 0);
  copy_to(out, ipv4::source, after.source);
  copy_to(out, ipv4::destination, after.destination);
  put16(out, ipv4::checksum, static_cast<uint16_t>(~sum_words(out.first(ipv4::min_bytes))));
}

}  // namespace

std::optional<TranslationHeader> read_translation_header(Bytes packet) {
  if (packet.empty()) return std::nullopt;
  const unsigned version = inner_version(packet);
  return version == 4 ? read4(packet) : version == 6 ? read6(packet) : std::nullopt;
}

bool has_counterpart(uint8_t next) { return !is_skipped(next) && next != protocol::fragment && next != protocol::none && next != protocol::icmp && next != protocol::icmp6; }

void put_translation_header(MutableBytes out, const TranslationHeader& header, const AddressPair& after, size_t payload_bytes, std::atomic<uint16_t>* identifications) {
  const bool is_icmp = header.next == header.icmp();
  const auto hops = static_cast<uint8_t>(identifications == nullptr ? header.hops : header.hops - 1);
  if (header.version == 4) put6(out, header, after, payload_bytes, is_icmp ? protocol::icmp6 : header.next, hops);
  else put4(out, header, after, payload_bytes, is_icmp ? protocol::icmp : header.next, hops, identifications);
}

uint32_t addresses_delta(const AddressPair& before, const AddressPair& after) {
  const uint16_t old_sum = fold(uint64_t{sum_words(before.source)} + sum_words(before.destination));
  return fold(uint64_t{static_cast<uint16_t>(~old_sum)} + sum_words(after.source) + sum_words(after.destination));
}

uint16_t pseudo_sum_of(const AddressPair& ends, uint8_t next, size_t bytes) {
  return fold(uint64_t{sum_words(ends.source)} + sum_words(ends.destination) + next + bytes);
}

}  // namespace i3
